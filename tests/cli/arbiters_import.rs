//! Lists of devices that become arbiters: whole or not at all, every mistake at its line.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use dr_watchdog_tests::program::{Run, command, run};
use dr_watchdog_tests::scratch::{Scratch, set_mode};

/// A configuration with one arbiter at 203.0.113.1 and a comment that somebody wrote.
const CONFIGURATION: &str = "# whoever changes this file: tell the other site\n[site]\nname = \"a\"\nindex = 0\n\
    [peer]\nname = \"b\"\nheartbeatKey = \"0123456789abcdef\"\n[core]\npeerVip = \"192.0.2.20\" # theirs\n\
    [[watchdog.failureDetection.arbiters]]\nhost = \"203.0.113.1\"\nusername = \"watchdog\"\npassword = \"x\"\n";

struct Site {
    scratch: Scratch,
    file: PathBuf,
}

impl Site {
    fn new() -> Self {
        let scratch = Scratch::new("import");
        let file = scratch.write("etc/dr-watchdog/dr-watchdog.toml", CONFIGURATION);
        set_mode(&file, 0o640);
        Self { scratch, file }
    }

    fn text(&self) -> String {
        fs::read_to_string(&self.file).unwrap()
    }

    fn run(&self, arguments: &[&str]) -> Run {
        run(command(["--root"]).arg(self.scratch.path()).args(arguments)).is_orderly()
    }

    fn import(&self, name: &str, list: impl AsRef<[u8]>) -> Run {
        let list = self.scratch.write(name, list);
        self.run(&["arbiters", "import", list.to_str().unwrap()])
    }

    /// Host, port and whether secrets are there, as scripts read it.
    fn arbiters(&self) -> Vec<(String, u64, bool, bool)> {
        let shown = self.run(&["api", "v1", "config", "--include", "watchdog"]).expect(0).stdout;
        let sections: serde_json::Value = serde_json::from_str(&shown).unwrap();
        let arbiters = sections["watchdog"]["failureDetection"]["arbiters"].as_array().unwrap().clone();
        let is_set = |value: &serde_json::Value| value == "***";
        let shown = arbiters.iter().map(|arbiter| {
            let (host, port) = (arbiter["host"].as_str().unwrap(), arbiter["port"].as_u64().unwrap());
            (host.to_owned(), port, is_set(&arbiter["password"]), is_set(&arbiter["privateKey"]))
        });
        shown.collect()
    }
}

/// Goal: a list as spreadsheets write it is taken over, the file's comments and its mode stay, no secret is shown. Wrong
/// would be: a comma or a line end within a field moves the columns.
#[test]
fn a_list_in_csv_is_added_behind_what_is_there() {
    let site = Site::new();
    let key =
        "-----BEGIN OPENSSH PRIVATE KEY-----\nno key, only its form\n-----END OPENSSH PRIVATE KEY-----\n";
    let list = format!(
        "\u{feff}host,port,username,password,privateKey,kind\r\n203.0.113.2,830,w,\"a, \"\"b\"\"\",,junos\r\n\r\n\
         2001:db8::3,,w,,\"{key}\",linux\r\nr4.example.com,22,w,x,,\r\n"
    );
    let run =
        site.import("devices.csv", list).expect(0).says(&["3 arbiters were added", "arbiters trust NAME"]);
    assert!(!run.all().contains("\"b\"") && !run.all().contains("PRIVATE"), "{}", run.all());
    assert!(site.text().starts_with(CONFIGURATION), "{}", site.text());
    assert_eq!(fs::metadata(&site.file).unwrap().permissions().mode() & 0o7777, 0o640);
    let expected = [
        ("203.0.113.1", 22, true, false),
        ("203.0.113.2", 830, true, false),
        ("2001:db8::3", 22, false, true),
        ("r4.example.com", 22, true, false),
    ];
    let expected = expected.map(|(host, port, password, key)| (host.to_owned(), port, password, key));
    assert_eq!(site.arbiters(), expected);
    site.run(&["config", "check"]).says(&["privateKey: the watchdog cannot log in with this key"]);
}

#[test]
fn a_list_in_json_is_added_bare_or_as_arbiters() {
    for (before, after) in [("", ""), ("{\"arbiters\": ", "}")] {
        let site = Site::new();
        let list = format!(
            "{before}[\n {{\"host\": \"203.0.113.2\", \"username\": \"w\", \"password\": \"x\"}},\n \
             {{\"host\": \"203.0.113.3\", \"port\": 2222, \"username\": \"w\", \"password\": \"y\", \"kind\": null}}]{after}"
        );
        site.import("devices.json", list).expect(0).says(&["2 arbiters were added"]);
        let hosts: Vec<(String, u64)> =
            site.arbiters().into_iter().map(|(host, port, ..)| (host, port)).collect();
        let expected = [("203.0.113.1", 22), ("203.0.113.2", 22), ("203.0.113.3", 2222)];
        assert_eq!(hosts, expected.map(|(host, port)| (host.to_owned(), port)));
    }
}

/// Goal: one run tells everything that is wrong, and the file is as it was. Wrong would be: half of a list is imported, or
/// each mistake needs a run of its own.
#[test]
fn every_mistake_is_told_at_its_line_and_nothing_is_imported() {
    let many = "host,username,password\n".to_owned() + &"203.0.113.9,w,x\n".repeat(1_001);
    let cases: [(&str, &[u8], &[&str]); 12] = [
        (
            "a.csv",
            b"host,user,password,port,kind\n203.0.113.2,a,x,99999,\n,a,x,,\n203.0.113.3,b\n203.0.113.2,a,,22,cisco\n",
            &[
                "a.csv:1: the unknown field \"user\"",
                "a.csv:2: port \"99999\"",
                "a.csv:3: no host",
                "a.csv:4: 2 fields under 5 columns",
                "a.csv:5: kind \"cisco\"",
                "a.csv:5: neither password nor privateKey",
            ],
        ),
        ("b.csv", b"203.0.113.2,w,x\n", &["b.csv:1: no header"]),
        ("c.csv", b"host,username,password\n\"203.0.113.2,w,x\n", &["c.csv:2: a quote that is never closed"]),
        ("d.csv", b"", &["d.csv:1: no arbiter"]),
        ("e.csv", many.as_bytes(), &["1001 records"]),
        (
            "f.json",
            b"[\n {\"host\": 7, \"username\": \"w\", \"password\": \"x\"},\n 9\n]",
            &["f.json:2: host = 7; text in quotes", "f.json:3: no object"],
        ),
        ("g.json", b"[\n {\"host\": \"203.0.113.2\",\n", &["g.json:3: "]),
        // Known to the configuration and not to the list: the arbiter is there already.
        (
            "h.csv",
            b"host,username,password\n203.0.113.1,w,x\n",
            &["h.csv:2: host: found 203.0.113.1 port 22, which stands at line 11 already"],
        ),
        (
            "i.csv",
            b"host,username,password\n300.1.1.1,w,x\n0.0.0.0,w,x\n233.252.0.1,w,x\n127.0.0.03,w,x\n",
            &["i.csv:2: host \"300.1.1.1\"", "i.csv:3: host", "i.csv:4: host", "i.csv:5: host \"127.0.0.03\""],
        ),
        (
            "j.json",
            b"[\n {\"host\": \"203.0.113.2\",\n  \"host\": \"203.0.113.3\", \"username\": \"w\", \"password\": \"x\"}]",
            &["j.json:3: the key \"host\" stands twice"],
        ),
        ("k.csv", b"host,username,password,hostKey\n203.0.113.2,w,x,SHA256:short\n", &["k.csv:2: hostKey: found"]),
        ("l.csv", b"host,username,privateKey\n203.0.113.2,w,/nonexistent/key\n", &["l.csv:2: privateKey: found"]),
    ];
    let site = Site::new();
    for (name, list, said) in cases {
        let run = site.import(name, list).expect(1).says(said);
        assert!(run.stdout.is_empty(), "{}", run.all());
        let mut lines: Vec<&str> = run.stderr.lines().collect();
        let all = lines.len();
        lines.sort_unstable();
        lines.dedup();
        assert_eq!(lines.len(), all, "each mistake is told once: {}", run.all());
        assert_eq!(site.text(), CONFIGURATION, "{}", run.all());
    }
}

#[test]
fn a_file_that_is_no_list_or_a_site_without_a_file_is_told() {
    let site = Site::new();
    site.import("devices.csv", b"host,username,password\n203.0.113.2,w,\xff\xfe\n")
        .expect(2)
        .says(&["no UTF-8 text"]);
    site.run(&["arbiters", "import", "/nonexistent/devices.csv"]).expect(2).says(&["cannot be read"]);
    let folder = site.scratch.path().to_str().unwrap();
    site.run(&["arbiters", "import", folder]).expect(2).says(&["cannot be read"]);
    site.run(&["arbiters", "import"]).expect(2).says(&["<FILE>"]);
    assert_eq!(site.text(), CONFIGURATION);
    fs::remove_file(&site.file).unwrap();
    site.import("devices.csv", "host,username,password\n203.0.113.2,w,x\n")
        .expect(1)
        .says(&["cannot be found"]);
    assert!(!site.file.exists(), "no configuration is begun");
}
