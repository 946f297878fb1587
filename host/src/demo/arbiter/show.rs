//! How devices print their TCP sockets: `ss` on Linux, `show system connections` on Junos.

use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};

use super::sockets::TcpSocket;

/// State names of both, by the kernel's number of the state.
const STATES: [(u8, &str, &str); 11] = [
    (1, "ESTAB", "ESTABLISHED"),
    (2, "SYN-SENT", "SYN_SENT"),
    (3, "SYN-RECV", "SYN_RCVD"),
    (4, "FIN-WAIT-1", "FIN_WAIT_1"),
    (5, "FIN-WAIT-2", "FIN_WAIT_2"),
    (6, "TIME-WAIT", "TIME_WAIT"),
    (7, "UNCONN", "CLOSED"),
    (8, "CLOSE-WAIT", "CLOSE_WAIT"),
    (9, "LAST-ACK", "LAST_ACK"),
    (10, "LISTEN", "LISTEN"),
    (11, "CLOSING", "CLOSING"),
];
/// States that `ss` leaves out unless it is asked for them.
const HIDDEN_FROM_SS: [u8; 4] = [3, 6, 7, 10];

fn state_names(state: u8) -> (&'static str, &'static str) {
    let known = STATES.iter().find(|(number, ..)| *number == state);
    known.map_or(("UNKNOWN", "UNKNOWN"), |(_, linux, junos)| (linux, junos))
}

/// What `ss -Htnoi` prints: a row per connection, then its details on a line of their own.
pub fn ss(sockets: &[TcpSocket]) -> String {
    let shown: Vec<_> =
        sockets.iter().filter(|socket| !HIDDEN_FROM_SS.contains(&socket.state)).map(ss_row).collect();
    let widest = |column: usize| shown.iter().map(|(row, _)| row[column].len()).max().unwrap_or(0);
    let (state, local, remote) = (widest(0), widest(3), widest(4));
    let mut text = String::new();
    for ([name, received, sent, from, to], details) in &shown {
        // Writing into a text does not fail.
        let _ = write!(text, "{name:<state$} {received:<6} {sent:<6} {from:>local$} {to:<remote$}");
        let _ = write!(text, "\n\t {details}\n");
    }
    text
}

fn ss_row(socket: &TcpSocket) -> ([String; 5], String) {
    let columns = [
        state_names(socket.state).0.to_owned(),
        socket.receive_queue.to_string(),
        socket.send_queue.to_string(),
        socket.local.to_string(),
        socket.remote.to_string(),
    ];
    (columns, ss_details(socket))
}

/// Like `ss`, it leaves out what is zero.
fn ss_details(socket: &TcpSocket) -> String {
    let mut fields: Vec<String> = socket.congestion.iter().cloned().collect();
    if let Some(info) = &socket.info {
        let ms = |us: u32| f64::from(us) / 1_000.0;
        fields.push(format!("rto:{}", ms(info.rto_us)));
        if info.rtt_us != 0 {
            fields.push(format!("rtt:{}/{}", ms(info.rtt_us), ms(info.rtt_variance_us)));
        }
        for (name, value) in [
            ("mss", info.send_mss),
            ("cwnd", info.window),
            ("lastsnd", info.last_sent_ms),
            ("lastrcv", info.last_received_ms),
            ("lastack", info.last_ack_ms),
        ] {
            if value != 0 {
                fields.push(format!("{name}:{value}"));
            }
        }
    }
    fields.join(" ")
}

/// What `show system connections inet | no-more` prints.
pub fn junos(sockets: &[TcpSocket]) -> String {
    let mut text = String::from("Active Internet connections (including servers)\n");
    // Writing into a text does not fail.
    let _ = writeln!(
        text,
        "{:<5} {:>6} {:>6}  {:<45} {:<45} (state)",
        "Proto", "Recv-Q", "Send-Q", "Local Address", "Foreign Address"
    );
    for socket in sockets.iter().filter(|socket| socket.local.is_ipv4()) {
        let (local, remote) = (dotted(socket.local), dotted(socket.remote));
        let state = state_names(socket.state).1;
        let (received, sent) = (socket.receive_queue, socket.send_queue);
        let _ = writeln!(text, "{:<5} {received:>6} {sent:>6}  {local:<45} {remote:<45} {state}", "tcp4");
    }
    text
}

/// An address and a port with a dot between them; a star for what is open.
fn dotted(address: SocketAddr) -> String {
    let is_open = |ip: IpAddr| ip.is_unspecified();
    let host = if is_open(address.ip()) { "*".to_owned() } else { address.ip().to_string() };
    if address.port() == 0 { format!("{host}.*") } else { format!("{host}.{}", address.port()) }
}

#[cfg(test)]
mod tests {
    use super::super::sockets::TcpInfo;
    use super::*;

    fn socket(state: u8, remote: &str, last_received_ms: u32) -> TcpSocket {
        TcpSocket {
            state,
            local: "203.0.113.1:22".parse().unwrap(),
            remote: remote.parse().unwrap(),
            receive_queue: 0,
            send_queue: 36,
            congestion: Some("cubic".to_owned()),
            info: Some(TcpInfo {
                rto_us: 204_000,
                send_mss: 1448,
                last_sent_ms: 7,
                last_received_ms,
                last_ack_ms: 7,
                rtt_us: 500,
                rtt_variance_us: 250,
                window: 10,
            }),
        }
    }

    #[test]
    fn ss_shows_connections_with_their_ages_and_no_listeners() {
        let mut listener = socket(10, "0.0.0.0:0", 0);
        listener.local = "0.0.0.0:22".parse().unwrap();
        let text = ss(&[listener, socket(1, "192.0.2.10:40000", 1234), socket(8, "198.51.100.10:5", 0)]);
        assert_eq!(
            text,
            "ESTAB      0      36     203.0.113.1:22 192.0.2.10:40000\n\
             \t cubic rto:204 rtt:0.5/0.25 mss:1448 cwnd:10 lastsnd:7 lastrcv:1234 lastack:7\n\
             CLOSE-WAIT 0      36     203.0.113.1:22 198.51.100.10:5 \n\
             \t cubic rto:204 rtt:0.5/0.25 mss:1448 cwnd:10 lastsnd:7 lastack:7\n"
        );
    }

    #[test]
    fn junos_writes_ports_behind_a_dot_and_shows_listeners() {
        let mut listener = socket(10, "0.0.0.0:0", 0);
        listener.local = "0.0.0.0:22".parse().unwrap();
        let text = junos(&[listener, socket(1, "192.0.2.10:40000", 1)]);
        let words: Vec<Vec<&str>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(words[2], ["tcp4", "0", "36", "*.22", "*.*", "LISTEN"]);
        assert_eq!(words[3], ["tcp4", "0", "36", "203.0.113.1.22", "192.0.2.10.40000", "ESTABLISHED"]);
        assert!(
            text.starts_with("Active Internet connections (including servers)\nProto Recv-Q Send-Q  Local")
        );
    }
}
