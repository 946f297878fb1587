//! The answer of `netstat -an -p tcp` on FreeBSD or a relative.

use super::{ParseError, Row, netstat};

/// All sockets, numbers, TCP only.
pub(super) const COMMAND: &str = "netstat -an -p tcp";

pub(super) fn rows(output: &str, ssh_port: u16) -> Result<Vec<Row>, ParseError> {
    netstat::rows(COMMAND, output, ssh_port)
}

#[cfg(test)]
mod tests {
    use dr_watchdog_sdk::evidence::Session;

    use super::*;

    fn sessions(output: &str, ssh_port: u16) -> Result<Vec<Session>, ParseError> {
        rows(output, ssh_port).map(super::super::sessions)
    }

    const HEADER: &str = "\
Active Internet connections (including servers)
Proto Recv-Q Send-Q Local Address          Foreign Address        (state)
";

    #[test]
    fn rows_of_freebsd_and_its_relatives_are_read() {
        let rows = "\
tcp4       0      0 192.0.2.1.22           198.51.100.7.51234     ESTABLISHED
tcp6       0      0 2001:db8::1.22         2001:db8::7.51234      ESTABLISHED
tcp4       0      0 192.0.2.1.22           198.51.100.8.51234     ESTABLISHED 131072 131072 
tcp4       0      0 192.0.2.1.22           198.51.100.9.51234     TIME_WAIT
tcp46      0      0 *.22                   *.*                    LISTEN
";
        let found: Vec<_> = sessions(&format!("{HEADER}{rows}"), 22)
            .unwrap()
            .into_iter()
            .map(|session| session.from)
            .collect();
        assert_eq!(found, ["198.51.100.7", "2001:db8::7", "198.51.100.8"]);
    }

    #[test]
    fn an_address_that_a_narrow_column_may_have_cut_is_an_error_not_an_absent_session() {
        for (foreign, why) in [
            ("2001:db8::1111:2.51234", "may have been cut off"),
            ("2001:db8:ffff:eeee:ddd", "foreign address has no port"),
        ] {
            let row = format!("tcp6       0      0 2001:db8::1.22         {foreign} ESTABLISHED\n");
            let error = sessions(&format!("{HEADER}{row}"), 22).unwrap_err();
            assert!(error.to_string().contains(why), "{error}");
        }
    }

    #[test]
    fn the_table_of_linux_netstat_is_not_taken_for_one() {
        let row = "tcp        0      0 192.0.2.1:22            198.51.100.7:51234      ESTABLISHED\n";
        assert!(sessions(&format!("{HEADER}{row}"), 22).is_err());
    }
}
