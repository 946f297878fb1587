//! When a certificate ends, read from its text; nothing else of it is looked at.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use dr_watchdog_sdk::Utc;

const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
const END: &str = "-----END CERTIFICATE-----";
/// Most certificates of one file: the authorities of a whole system are about 150.
const CERTIFICATES_MAX: usize = 1_000;

const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

/// The earliest end of the certificates in a text; `None` where none can be read.
pub fn earliest_end(pem: &str) -> Option<Utc> {
    let blocks = pem.split(BEGIN).skip(1).take(CERTIFICATES_MAX);
    let der = blocks.filter_map(|block| {
        let text: String = block.split(END).next()?.split_whitespace().collect();
        STANDARD.decode(text).ok()
    });
    der.filter_map(|der| end(&der)).min()
}

/// Certificate, its signed part, then version, serial number, algorithm, issuer, validity (RFC 5280, 4.1).
fn end(der: &[u8]) -> Option<Utc> {
    let certificate = take(der, SEQUENCE)?.0;
    let mut rest = take(certificate, SEQUENCE)?.0;
    if let Some((_, after)) = take(rest, VERSION) {
        rest = after;
    }
    for _ in ["serial number", "algorithm", "issuer"] {
        rest = any(rest)?.2;
    }
    let validity = take(rest, SEQUENCE)?.0;
    let (_, _, not_after) = any(validity)?;
    let (tag, text, _) = any(not_after)?;
    instant(tag, std::str::from_utf8(text).ok()?)
}

/// The content of the next value if it has this tag, and what follows it.
fn take(der: &[u8], wanted: u8) -> Option<(&[u8], &[u8])> {
    let (tag, content, rest) = any(der)?;
    (tag == wanted).then_some((content, rest))
}

/// Tag and content of the next value, and what follows it.
fn any(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = der.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = if first < 0x80 {
        (usize::from(first), rest)
    } else {
        // Up to four bytes of length: no certificate is longer.
        let count = usize::from(first & 0x7f);
        let (bytes, rest) = rest.split_at_checked(count).filter(|_| (1..=4).contains(&count))?;
        (bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)), rest)
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((tag, content, rest))
}

/// `YYMMDDHHMMSSZ`, where a year from 50 on is of the last century, or with four digits of the year.
fn instant(tag: u8, text: &str) -> Option<Utc> {
    let full = match tag {
        UTC_TIME if text.is_ascii() && text.len() == 13 => {
            let century = if text[..2] < *"50" { "20" } else { "19" };
            format!("{century}{text}")
        }
        GENERALIZED_TIME if text.is_ascii() && text.len() == 15 => text.to_owned(),
        _ => return None,
    };
    let [year, month, day] = [&full[..4], &full[4..6], &full[6..8]];
    let [hour, minute, second] = [&full[8..10], &full[10..12], &full[12..14]];
    Utc::parse(&format!("{year}-{month}-{day}T{hour}:{minute}:{second}+00:00")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ends on 2036-11-22, as `openssl x509 -enddate` says.
    const SHORT: &str = "\
-----BEGIN CERTIFICATE-----
MIIBizCCATGgAwIBAgIUSGvat4Zg2oalhiAfYYMlnVari5owCgYIKoZIzj0EAwIw
GzEZMBcGA1UEAwwQbWFpbC5leGFtcGxlLmNvbTAeFw0yNjExMjUwMTAwMTNaFw0z
NjExMjIwMTAwMTNaMBsxGTAXBgNVBAMMEG1haWwuZXhhbXBsZS5jb20wWTATBgcq
hkjOPQIBBggqhkjOPQMBBwNCAAQ/xykW70ABEQQTWVHxe/4xUpZVJ1brT3EJ1flX
0oPO3W6FhsfmrGv9JZQVmrQUk3JXPczzHhIoqq1TJ+d3XERao1MwUTAdBgNVHQ4E
FgQUZTbo2rxC2sfIiMduL3t75mmdNhkwHwYDVR0jBBgwFoAUZTbo2rxC2sfIiMdu
L3t75mmdNhkwDwYDVR0TAQH/BAUwAwEB/zAKBggqhkjOPQQDAgNIADBFAiEA5Z3Z
ueTHWYlOQmFHFI3YsnTKUg867f0JObGnm0aFbuYCIDOl7/ChRNmxTmmpXLkOeHtf
pFx+kvt0CcuuiRDJ/kvr
-----END CERTIFICATE-----";
    /// Ends in 2126, which takes four digits of the year.
    const LONG: &str = "\
-----BEGIN CERTIFICATE-----
MIIBbzCCARWgAwIBAgIUeSmylTwmg1Wr/OkvG4cOrHDvn6cwCgYIKoZIzj0EAwIw
DDEKMAgGA1UEAwwBeDAgFw0yNjExMjUwMTAwMTNaGA8yMTI2MTEwMTAxMDAxM1ow
DDEKMAgGA1UEAwwBeDBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABPA31K98b4mT
AzGT/E3CTrnET4o8FBiWlUXSnxmowhbiLjz0YWD37X7CazA+39JhwtJnEksVZ5nQ
kuagIGqmjRqjUzBRMB0GA1UdDgQWBBQtgXMh1B2UcYibpHZS8qXS3X5QiDAfBgNV
HSMEGDAWgBQtgXMh1B2UcYibpHZS8qXS3X5QiDAPBgNVHRMBAf8EBTADAQH/MAoG
CCqGSM49BAMCA0gAMEUCIBa9XM00p/YyYgA53xFC1JvvBVHSW8ZIWtCU0rp92aM1
AiEA6yQNzHGPMFQfHV67FhvLWKSdxLgKz41OKdzBV3wM9+Q=
-----END CERTIFICATE-----";

    #[test]
    fn the_end_is_the_one_that_openssl_prints() {
        assert_eq!(earliest_end(SHORT), Utc::parse("2036-11-22T01:00:13+00:00").ok());
        assert_eq!(earliest_end(LONG), Utc::parse("2126-11-01T01:00:13+00:00").ok());
        assert_eq!(earliest_end(&format!("{LONG}\n{SHORT}")), earliest_end(SHORT), "the earliest counts");
    }

    #[test]
    fn what_is_no_certificate_has_no_end_and_does_no_harm() {
        assert_eq!(earliest_end(""), None);
        assert_eq!(earliest_end("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"), None);
        let text: String = SHORT.lines().filter(|line| !line.starts_with('-')).collect();
        let der = STANDARD.decode(text).unwrap();
        for cut in 0..der.len() {
            // Whatever comes of it, it ends.
            let _ = end(&der[..cut]);
        }
    }
}
