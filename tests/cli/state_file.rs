//! The stored state: damaged, from a newer program, on a full disk. Nothing is guessed, nothing is lost.

use std::fs;
use std::path::Path;
use std::time::Duration;

use dr_watchdog_tests::lab::mail::{arrives, mailing};
use dr_watchdog_tests::lab::{Lone, MailServer};
use dr_watchdog_tests::program::{command, run, system};
use dr_watchdog_tests::wait;

/// Longest role change of a lone site.
const CHANGE_LIMIT: Duration = Duration::from_secs(60);

/// A site that was active when its watchdog was killed.
fn was_active() -> Lone {
    let mut lone = Lone::new(|ledger, recipe| {
        recipe.be_active = vec![("serve".to_owned(), ledger.command("a", "serve"), true)];
        recipe.be_standby = vec![("stop".to_owned(), ledger.command("a", "stop"), true)];
    });
    lone.site.start();
    lone.tell("beActive");
    lone.site.wait_standing("active/active", CHANGE_LIMIT);
    lone.tell("nothing");
    lone.site.kill_9();
    lone
}

/// Starts with a state file that was changed so, and demands that the site boots as standby, says why, and keeps a copy.
fn boots_as_standby(change: impl FnOnce(&str) -> String, says: &str) {
    let mut lone = was_active();
    let file = lone.site.paths().state_file.clone();
    let bad = change(&fs::read_to_string(&file).unwrap());
    fs::write(&file, &bad).unwrap();
    lone.site.start();
    lone.site.wait_standing("standby/standby", CHANGE_LIMIT);
    assert_eq!(lone.ledger.count("stop"), 1, "what may be serving is stopped\n{}", lone.site.dump());
    let health = lone.site.health();
    let problems = health["problems"].as_array().unwrap();
    let said = problems.iter().find(|problem| problem["message"].as_str().unwrap().contains(says));
    let said = said.unwrap_or_else(|| panic!("\"{says}\" is not said: {health}"));
    assert!(said["remedy"].as_str().unwrap().contains("a copy is kept"), "{said}");
    assert!(lone.site.log().contains(says), "{}", lone.site.log());
    let folder = fs::read_dir(file.parent().unwrap()).unwrap();
    let copies = folder.map(|entry| fs::read_to_string(entry.unwrap().path()).unwrap_or_default());
    assert!(copies.into_iter().any(|copy| copy == bad), "the unusable file is kept");
}

#[test]
fn a_truncated_state_boots_as_standby() {
    boots_as_standby(|good| good[..good.len() / 2].to_owned(), "no complete JSON");
}

#[test]
fn an_empty_state_boots_as_standby() {
    boots_as_standby(|_| String::new(), "no complete JSON");
}

#[test]
fn a_state_with_a_wrong_checksum_boots_as_standby() {
    boots_as_standby(|good| good.replacen("\"epoch\":", "\"epoch\": ", 1), "checksum");
}

#[test]
fn a_state_of_a_newer_program_boots_as_standby() {
    boots_as_standby(|good| good.replacen("\"version\":1", "\"version\":2", 1), "newer program");
}

/// A tiny file system over the state's folder, full to the last byte.
struct FullDisk {
    folder: String,
    filler: String,
}

impl FullDisk {
    fn new(lone: &Lone) -> Self {
        Self::over(&lone.site.paths().state_dir)
    }

    fn over(folder: &Path) -> Self {
        fs::create_dir_all(folder).unwrap();
        let folder = folder.to_str().unwrap().to_owned();
        system("mount", &["-t", "tmpfs", "-o", "size=1m,mode=700", "tmpfs", &folder]);
        Self { filler: format!("{folder}/filler"), folder }
    }

    fn fill(&self) {
        // It is meant to fail: the disk is full then.
        let filled = fs::write(&self.filler, vec![0_u8; 4 << 20]);
        assert!(filled.is_err(), "the disk took more than it has");
    }

    fn empty(&self) {
        fs::remove_file(&self.filler).unwrap();
    }
}

impl Drop for FullDisk {
    fn drop(&mut self) {
        system("umount", &["-l", &self.folder]);
    }
}

/// Goal: a promotion whose epoch cannot be written does not begin. Wrong would be: the site serves with an epoch that a
/// crash forgets, the watchdog ends, or the old state is lost.
#[test]
fn a_full_disk_stops_a_promotion_and_nothing_else() {
    let mut lone = Lone::new(|ledger, recipe| {
        recipe.be_active = vec![("serve".to_owned(), ledger.command("a", "serve"), true)];
        mailing(recipe);
    });
    let _server = MailServer::real(&lone.scratch, &lone.namespace, "none", false);
    let disk = FullDisk::new(&lone);
    lone.site.start();
    lone.site.wait("the boot time is over", CHANGE_LIMIT, |daemon| {
        let health = daemon.try_health()?;
        wait::holds(health["booting"] == false, || health.to_string())
    });
    let before = fs::read_to_string(&lone.site.paths().state_file).unwrap();
    disk.fill();
    lone.tell("beActive");
    let health = lone.site.wait("health says that the state is not written", CHANGE_LIMIT, |daemon| {
        let health = daemon.try_health()?;
        wait::holds(health["problems"].to_string().contains("could not be written"), || health.to_string())?;
        Ok(health)
    });
    assert_eq!(health["status"], "critical", "{health}");
    assert_eq!(lone.ledger.count("serve"), 0, "no step ran\n{}", lone.site.dump());
    assert_eq!(fs::read_to_string(&lone.site.paths().state_file).unwrap(), before, "the old state is whole");
    assert_eq!(lone.site.standing().unwrap(), "standby/standby", "{}", lone.site.dump());
    // Its queue is on the same disk: it is mailed all the same.
    arrives(&lone.scratch, "stateNotWritten", || lone.site.dump());

    disk.empty();
    lone.site.wait_standing("active/active", CHANGE_LIMIT);
    assert_eq!(lone.ledger.count("serve"), 1);
    assert!(lone.site.stop().success());
    drop(disk);
}

/// A folder that cannot be written is told as what it is: it exists, and the disk is read-only.
#[test]
fn a_read_only_state_folder_is_not_said_to_be_missing() {
    let mut lone = Lone::new(|_, _| {});
    lone.site.start();
    lone.site.kill_9();
    let folder = lone.site.paths().state_dir.clone();
    let folder = folder.to_str().unwrap();
    let run = || run(command(["--root"]).arg(lone.site.root()).arg("run"));
    for mode in ["755", "700"] {
        system("mount", &["-t", "tmpfs", "-o", &format!("ro,mode={mode}"), "tmpfs", folder]);
        let run = run();
        system("umount", &["-l", folder]);
        let run = run.expect(5).says(&[folder, "Read-only file system"]);
        assert!(!run.all().contains("cannot be made"), "{}", run.all());
    }
}

/// Goal: where the lock, the socket and the state share a full disk, the watchdog of a site that was active starts, ends
/// what may be serving, and says what is wrong. Wrong would be: nobody watches because a number cannot be written.
#[test]
fn a_watchdog_starts_on_a_full_disk_as_standby_with_an_alarm() {
    let mut lone = Lone::new(|ledger, recipe| {
        recipe.be_active = vec![("serve".to_owned(), ledger.command("a", "serve"), true)];
        recipe.be_standby = vec![("stop".to_owned(), ledger.command("a", "stop"), true)];
    });
    let configuration = fs::read_to_string(&lone.site.paths().config_file).unwrap();
    let disk = FullDisk::over(lone.site.root());
    lone.site.configure(&configuration);
    lone.site.start();
    lone.tell("beActive");
    lone.site.wait_standing("active/active", CHANGE_LIMIT);
    lone.tell("nothing");
    lone.site.kill_9();
    disk.fill();
    lone.site.start();
    lone.site.wait_standing("standby/standby", CHANGE_LIMIT);
    assert_eq!(lone.ledger.count("stop"), 1);
    let second = run(command(["--root"]).arg(lone.site.root()).arg("run"));
    second.is_orderly().expect(4).says(&["already runs on this root"]);
    let health = run(command(["--root"]).arg(lone.site.root()).arg("health"));
    health.is_orderly().expect(2).says(&["could not be written", "make room on the disk"]);

    disk.empty();
    lone.site.wait("the state is written", CHANGE_LIMIT, |daemon| {
        let health = daemon.try_health()?;
        wait::holds(!health["problems"].to_string().contains("could not be written"), || health.to_string())
    });
    lone.site.kill_9();
    lone.site.start();
    assert_eq!(lone.ledger.count("stop"), 1, "it is stored by now that it stands by");
    assert!(lone.site.stop().success());
    drop(disk);
}
