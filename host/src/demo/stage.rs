//! The stage: the network, the arbiters and the sites of the demo.

use std::io::{self, BufRead as _, BufReader, Write as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, ChildStdin, Stdio};
use std::time::Duration;

use base64::Engine as _;
use russh::keys::ssh_key::LineEnding;

use super::arbiter::{Account, Device, Ready, new_key};
use super::configuration::{Known, LogIn, SSH_PORT};
use super::links::{Backbone, Machine};
use super::readiness::is_ready_within;
use super::site::Site;
use super::story::{StoryError, doing};
use super::telling::Names;

/// The sites: three networks, three providers.
const SITES: [(&str, Ipv4Addr); 2] =
    [("a", Ipv4Addr::new(192, 0, 2, 10)), ("b", Ipv4Addr::new(198, 51, 100, 10))];
/// The arbiters, and whether the log-in is by key.
const ARBITERS: [(&str, Ipv4Addr, Device, bool); 3] = [
    ("r1", Ipv4Addr::new(203, 0, 113, 1), Device::Linux, false),
    ("r2", Ipv4Addr::new(203, 0, 113, 2), Device::Linux, true),
    ("r3", Ipv4Addr::new(203, 0, 113, 3), Device::Junos, false),
];
/// The user at every arbiter.
const USER: &str = "watchdog";
/// Longest wait until an arbiter listens.
const ARBITER_START_LIMIT: Duration = Duration::from_secs(10);
/// Random bytes of a password or key.
const SECRET_BYTES: usize = 32;

/// Everything that the story needs.
#[derive(Debug)]
pub struct Stage {
    backbone: Backbone,
    arbiters: Vec<Arbiter>,
    /// The arbiters as the sites know them.
    pub known: Vec<Known>,
    /// The sites, a before b.
    pub sites: [Site; 2],
    /// What each site calls the others.
    pub names: [Names; 2],
}

#[derive(Debug)]
struct Arbiter {
    name: &'static str,
    process: Child,
    /// Closed, it ends the arbiter.
    _input: ChildStdin,
    /// Keeps the namespace.
    _machine: Machine,
}

impl Stage {
    /// Builds the network, starts the arbiters, makes the sites' folders.
    ///
    /// # Errors
    /// When the machine refuses.
    pub fn build(folder: &Path) -> Result<Self, StoryError> {
        let network = "the network of the demo could not be built";
        let backbone = doing(network, Backbone::create())?;
        let sites = SITES.iter().map(|(_, address)| *address);
        let everybody: Vec<Ipv4Addr> =
            sites.chain(ARBITERS.iter().map(|(_, address, ..)| *address)).collect();
        let (mut arbiters, mut known) = (Vec::new(), Vec::new());
        for (name, address, device, has_key) in ARBITERS {
            let machine = doing(network, backbone.attach(name, address, &everybody))?;
            let (arbiter, knowledge) = start_arbiter(name, machine, device, has_key, folder)?;
            arbiters.push(arbiter);
            known.push(knowledge);
        }
        let site = |(name, address)| {
            let machine = doing(network, backbone.attach(name, address, &everybody))?;
            doing("a folder of the demo could not be made", Site::create(name, machine, folder))
        };
        let [a, b] = SITES;
        let sites = [site(a)?, site(b)?];
        let names = [names(b), names(a)];
        Ok(Self { backbone, arbiters, known, sites, names })
    }

    /// What stands there, for people.
    pub fn described(&self) -> Vec<(&'static str, String)> {
        let mut lines = vec![(
            "",
            "five machines (network namespaces) on one backbone, each by a link of its own".to_owned(),
        )];
        for site in &self.sites {
            lines.push((site.name, format!("a site at {}", site.machine.address)));
        }
        for (arbiter, known) in self.arbiters.iter().zip(&self.known) {
            let shows = match known.device {
                Device::Linux => {
                    "a Linux host that shows how long each session has been silent, and keeps dead ones"
                }
                Device::Junos => {
                    "a Junos router that shows no ages, and drops dead sessions after 3 unanswered questions"
                }
            };
            let by = match known.log_in {
                LogIn::Password(_) => "a password",
                LogIn::Key(_) => "a key",
            };
            let text = format!(
                "arbiter {} at {}: an SSH server, {shows}; log-in by {by}",
                arbiter.name, known.address
            );
            lines.push(("", text));
        }
        lines
    }

    /// Cuts site a from everything, silently.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn cut_a(&self) -> io::Result<()> {
        self.backbone.cut(&self.sites[0].machine)
    }

    /// Joins site a to everything again.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn restore_a(&self) -> io::Result<()> {
        self.backbone.restore(&self.sites[0].machine)
    }

    /// The site whose service runs; `None` if none or both do.
    pub fn serving(&self) -> Option<&'static str> {
        let mut serving = self.sites.iter().filter(|site| site.served().since_us.is_some());
        serving.next().filter(|_| serving.next().is_none()).map(|site| site.name)
    }

    /// Fails if an arbiter has ended.
    ///
    /// # Errors
    /// Then.
    pub fn check_arbiters(&mut self) -> Result<(), String> {
        for arbiter in &mut self.arbiters {
            match arbiter.process.try_wait() {
                Ok(None) => {}
                Ok(Some(status)) => return Err(format!("arbiter {} has ended ({status})", arbiter.name)),
                Err(error) => return Err(format!("arbiter {} cannot be awaited: {error}", arbiter.name)),
            }
        }
        Ok(())
    }
}

fn names((peer, address): (&'static str, Ipv4Addr)) -> Names {
    Names {
        peer: (address.to_string(), peer.to_owned()),
        arbiters: ARBITERS.iter().map(|(name, at, ..)| (at.to_string(), (*name).to_owned())).collect(),
    }
}

/// Random text, fit for a password.
///
/// # Errors
/// When the kernel gives no random bytes.
pub fn random_text() -> io::Result<String> {
    let mut bytes = [0; SECRET_BYTES];
    let count = rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())?;
    if count < bytes.len() {
        return Err(io::Error::other("the kernel gave too few random bytes"));
    }
    Ok(base64::engine::general_purpose::STANDARD_NO_PAD.encode(bytes))
}

fn log_in(has_key: bool) -> io::Result<(Account, LogIn)> {
    let mut account = Account { user: USER.to_owned(), password: None, public_key: None };
    if has_key {
        let key = new_key()?;
        account.public_key = Some(key.public_key().to_openssh().map_err(io::Error::other)?);
        let private = key.to_openssh(LineEnding::LF).map_err(io::Error::other)?;
        Ok((account, LogIn::Key(private.to_string())))
    } else {
        let password = random_text()?;
        account.password = Some(password.clone());
        Ok((account, LogIn::Password(password)))
    }
}

fn start_arbiter(
    name: &'static str,
    machine: Machine,
    device: Device,
    has_key: bool,
    folder: &Path,
) -> Result<(Arbiter, Known), StoryError> {
    let starting = "an arbiter could not be started";
    let (account, log_in) = doing("no log-in could be made", log_in(has_key))?;
    let address = machine.address;
    let log = folder.join(format!("arbiter-{name}.log"));
    let begin = || {
        let mut command = super::myself();
        command
            .arg("demo-arbiter")
            .args(["--listen", &SocketAddr::from((address, SSH_PORT)).to_string()])
            .args(["--device", device.word()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(std::fs::File::create(&log)?)
            .process_group(0);
        let mut process = machine.namespace.spawn(&mut command)?;
        let (input, output) = (process.stdin.take(), process.stdout.take());
        let (Some(mut input), Some(output)) = (input, output) else {
            return Err(io::Error::other("its input and output are not there"));
        };
        serde_json::to_writer(&mut input, &account)?;
        writeln!(input)?;
        let mut line = String::new();
        if is_ready_within(&output, ARBITER_START_LIMIT)? {
            BufReader::new(output).read_line(&mut line)?;
        }
        Ok((process, input, line))
    };
    let (process, input, line) = doing(starting, begin())?;
    let Ok(ready) = serde_json::from_str::<Ready>(&line) else {
        let said = std::fs::read_to_string(&log).unwrap_or_default();
        return Err(StoryError::Failed(format!("arbiter {name} did not start: {}", said.trim())));
    };
    let known = Known { address, device, user: USER.to_owned(), log_in, host_key: ready.host_key };
    Ok((Arbiter { name, process, _input: input, _machine: machine }, known))
}
