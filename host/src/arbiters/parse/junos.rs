//! The answer of Junos to `show system connections`.

use super::{ParseError, Row, netstat};

/// Sessions over IPv4; `no-more`, because a pager would wait for a key for ever.
pub(super) const COMMAND: &str = "show system connections inet | no-more";
/// Sessions over IPv6.
pub(super) const COMMAND_V6: &str = "show system connections inet6 | no-more";

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
Proto Recv-Q Send-Q  Local Address                                 Foreign Address                               (state)
";

    fn seen(rows: &str) -> Vec<String> {
        sessions(&format!("{HEADER}{rows}"), 22).unwrap().into_iter().map(|session| session.from).collect()
    }

    #[test]
    fn established_sessions_at_the_ssh_port_are_found_among_all_others() {
        let rows = "\
tcp4       0      0  192.0.2.1.22                                  198.51.100.7.51234                            ESTABLISHED
tcp4       0     36  192.0.2.1.22                                  198.51.100.8.51235                            ESTABLISHED
tcp4       0      0  192.0.2.1.2222                                198.51.100.9.22                               ESTABLISHED
tcp4       0      0  192.0.2.1.22                                  198.51.100.10.51236                           CLOSE_WAIT
tcp4       0      0  192.0.2.1.22                                  198.51.100.11.51237                           FIN_WAIT_2
tcp4       0      0  *.22                                          *.*                                           LISTEN
udp4       0      0  *.161                                         *.*
icm4       0      0  *.*                                           *.*
ip4        0      0  *.*                                           *.*
";
        assert_eq!(seen(rows), ["198.51.100.7", "198.51.100.8"]);
        assert!(
            sessions(&format!("{HEADER}{rows}"), 22).unwrap().iter().all(|session| session.age_ms.is_none())
        );
    }

    #[test]
    fn every_way_to_write_an_address_is_read() {
        for (foreign, from) in [
            ("198.51.100.7.51234", "198.51.100.7"),
            ("2001:db8::7.51234", "2001:db8::7"),
            ("2001:db8::1111:2222:3333:4444.51234", "2001:db8::1111:2222:3333:4444"),
            ("::ffff:198.51.100.7.51234", "198.51.100.7"),
            ("fe80::7%ge-0/0/0.0.51234", "fe80::7%ge-0/0/0.0"),
        ] {
            assert_eq!(
                seen(&format!("tcp46 0 0 192.0.2.1.ssh {foreign} ESTABLISHED\n")),
                [from],
                "{foreign}"
            );
        }
    }

    #[test]
    fn an_older_header_and_a_row_without_the_version_are_read() {
        let output = "\nActive Internet connections (including servers)\n\
            Proto Recv-Q Send-Q  Local Address      Foreign Address         (state)\n\
            tcp        0      2  192.0.2.16.22      198.51.100.18.1022      ESTABLISHED\n";
        assert_eq!(sessions(output, 22).unwrap()[0].from, "198.51.100.18");
    }

    #[test]
    fn a_banner_before_the_table_and_several_routing_engines_are_no_trouble() {
        let row = "tcp4 0 0 192.0.2.1.22 198.51.100.7.5000 ESTABLISHED\n";
        let output = format!(
            "*** authorised use only ***\n\nre0:\n-----------\n{HEADER}{row}\nre1:\n------\n{HEADER}{row}\n{{master:0}}\n"
        );
        assert_eq!(sessions(&output, 22).unwrap().len(), 2);
    }

    #[test]
    fn a_row_wrapped_after_its_local_address_is_one_row() {
        let rows =
            "tcp6 0 0 2001:db8:1111:2222:3333:4444:5555:6666.22\n      2001:db8::7.51234 ESTABLISHED\n";
        assert_eq!(seen(rows), ["2001:db8::7"]);
    }

    #[test]
    fn a_row_wrapped_without_an_indent_is_one_row_unless_a_word_was_torn() {
        let long = "tcp6 0 0 2001:db8:1111:2222:3333:4444:5555:6666.22";
        assert_eq!(seen(&format!("{long}\n2001:db8::7.51234\nESTABLISHED\n")), ["2001:db8::7"]);
        for torn in [
            "2001:db8::7.512\n34 ESTABLISHED",
            "2001:db8::7\n.51234 ESTABLISHED",
            "2001:db8::7.1 ESTAB\nLISHED",
        ] {
            assert!(sessions(&format!("{HEADER}{long}\n{torn}\n"), 22).is_err(), "{torn}");
        }
    }

    #[test]
    fn a_table_of_another_kind_is_passed_over() {
        let rows = "tcp4 0 0 192.0.2.1.22 198.51.100.7.5000 ESTABLISHED\nActive UNIX domain sockets\n\
            Address  Type   Recv-Q Send-Q Inode Conn Refs Nextref Addr\nc1b1 stream 0 0 0 c1b2 0 0 /var/run/x\n";
        assert_eq!(seen(rows), ["198.51.100.7"]);
    }

    #[test]
    fn an_answer_without_a_header_is_an_error_even_if_it_is_empty() {
        for (output, shown) in [
            ("", "begins \"\""),
            ("error: command is not valid on this device\n", "begins \"error: command"),
            ("tcp4 0 0 192.0.2.1.22 198.51.100.7.5000 ESTABLISHED\n", "begins \"tcp4"),
            ("Active Internet connections (including servers)\n", "begins \"Active"),
        ] {
            let error = sessions(output, 22).unwrap_err().to_string();
            assert!(error.contains(shown), "{output:?}: {error}");
        }
    }

    #[test]
    fn what_is_no_row_is_an_error_that_shows_it() {
        for (row, why) in [
            ("error: timeout communicating with daemon", "no row"),
            ("tcp4 0 0 192.0.2.1.22", "foreign address is missing"),
            ("tcp4 0 0 192.0.2.1.22 198.51.100.7.5000", "state is missing"),
            ("tcp4 0 0 192.0.2.1.22 198.51.100.7.5000 soon", "no state"),
            ("tcp6 0 0 2001:db8:1:2:3 2001:db8::7.5000 ESTABLISHED", "local address has no port"),
            ("tcp6 0 0 192.0.2.1.22 2001:db8:1111:2222: ESTABLISHED", "foreign address has no port"),
            ("tcp4 0 0 192.0.2.1.netconf-ssh 198.51.100.7.5000 ESTABLISHED", "local port is no number"),
            ("tcp4 0 0 192.0.2.1.22 router-7.5000 ESTABLISHED", "no IP address"),
        ] {
            let error = sessions(&format!("{HEADER}{row}\n"), 22).unwrap_err().to_string();
            assert!(error.contains(why), "{row:?}: {error}");
            assert!(error.contains("line 3"), "{error}");
        }
    }
}
