//! Words as a shell reads them: SSH hands a command over as one line.

/// One word, whatever is in it.
pub fn quoted(word: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./:=,@%+".contains(&byte);
    if !word.is_empty() && word.bytes().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// A command line of these words.
pub fn line(words: &[&str]) -> String {
    words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_reads_every_word_as_it_was() {
        let words =
            ["ask", "a b", "", "it's", "$HOME `x` \"y\" \\ ; & |", "--confirm=site-b", "{\"a\": 1}", "a\nb"];
        let line = line(&words);
        let printed = std::process::Command::new("/bin/sh")
            .arg("-c")
            .arg(format!("for word in {line}; do printf '%s\\0' \"$word\"; done"))
            .output()
            .unwrap();
        let expected: String = words.iter().map(|word| format!("{word}\0")).collect();
        assert_eq!(String::from_utf8(printed.stdout).unwrap(), expected, "{line}");
        assert!(line.starts_with("ask 'a b' '' "), "{line}");
    }
}
