//! The types for editors: what the sandbox has, what the shipped policies use.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use dr_watchdog_tests::eval::Bench;
use dr_watchdog_tests::lua_check::Types;
use dr_watchdog_tests::program::{command, in_repository, run};
use serde_json::Value;

fn types() -> Types {
    Types::parse(&fs::read_to_string(in_repository("sdk/lua/dr.lua")).unwrap())
}

/// Every Lua policy that is shipped.
fn shipped() -> Vec<PathBuf> {
    let entries = fs::read_dir(in_repository("scripts")).unwrap().map(|entry| entry.unwrap().path());
    let found: Vec<PathBuf> =
        entries.filter(|path| path.extension().is_some_and(|ending| ending == "lua")).collect();
    assert!(found.len() >= 5, "{found:?}");
    found
}

#[test]
fn the_command_writes_the_shipped_types_and_never_replaces_an_authors_settings() {
    let bench = Bench::new();
    let folder = bench.scratch.join("policies");
    run(command(["policy", "types"]).arg(&folder)).expect(0).says(&["dr.lua", ".luarc.json"]);
    let written = fs::read_to_string(folder.join("dr.lua")).unwrap();
    assert_eq!(written, fs::read_to_string(in_repository("sdk/lua/dr.lua")).unwrap());
    let settings: Value =
        serde_json::from_str(&fs::read_to_string(folder.join(".luarc.json")).unwrap()).unwrap();
    assert_eq!(settings["runtime.version"], "Lua 5.4");
    fs::write(folder.join(".luarc.json"), "{}").unwrap();
    let again = run(command(["policy", "types", "--json"]).arg(&folder)).expect(0).json();
    assert!(again["kept"][0].as_str().unwrap().ends_with(".luarc.json"), "{again}");
    assert_eq!(fs::read_to_string(folder.join(".luarc.json")).unwrap(), "{}");
    run(&mut command(["policy", "types", "/proc/nowhere"])).expect(2).says(&["/proc/nowhere"]);
}

/// Goal: the types and the sandbox have the same words. Wrong would be: an editor offers what does not exist, or
/// underlines what does.
#[test]
fn the_sandbox_has_exactly_the_words_of_the_types() {
    let bench = Bench::new();
    let body = "return { evaluate = function(ctx)
        local found = {}
        local function list(name, of) found[name] = {} for key in pairs(of) do table.insert(found[name], key) end end
        local _ = dr.config, dr.policy
        list('dr', dr) list('arbiters', dr.arbiters) list('state', dr.state) list('verdict', dr.verdict) list('policy', dr.policy)
        return dr.verdict.nothing('', found)
      end }";
    let answer = bench.eval(&bench.policy("words.lua", body)).expect(0).json();
    let types = types();
    let functions = types.functions();
    for (name, class) in [
        ("dr", "drw.Dr"),
        ("arbiters", "drw.Arbiters"),
        ("state", "drw.State"),
        ("verdict", "drw.Verdicts"),
        ("policy", "drw.Own"),
    ] {
        let listed = answer["verdict"]["payload"]["details"][name].as_array().unwrap();
        let has: BTreeSet<&str> = listed.iter().map(|key| key.as_str().unwrap()).collect();
        let begin = if name == "dr" { "dr.".to_owned() } else { format!("dr.{name}.") };
        let below = functions.iter().filter_map(|function| function.strip_prefix(begin.as_str()));
        let mut typed: BTreeSet<&str> = below.filter(|rest| !rest.contains('.')).collect();
        typed.extend(types.fields(class));
        assert_eq!(has, typed, "{name}");
    }
    let context = "return { evaluate = function(ctx) return ctx.nonsense end }";
    let error = bench.fails(&bench.policy("ctx.lua", context), &["runtime"], &["ctx has no key"]);
    for key in types.fields("drw.Context") {
        assert!(error.to_string().contains(key), "{key}: {error}");
    }
}

#[test]
fn the_types_are_lua_that_a_machine_reads() {
    let bench = Bench::new();
    let text = fs::read_to_string(in_repository("sdk/lua/dr.lua")).unwrap();
    let policy = format!("local dr = {{}}\n{text}\nreturn {{ evaluate = function() end }}\n")
        .replace("\ndr = {}", "\n");
    run(command(["policy", "check"]).arg(bench.policy("types.lua", &policy))).expect(0);
}

#[test]
fn every_shipped_policy_uses_only_words_that_exist() {
    let types = types();
    for path in shipped() {
        let wrong = types.check(&fs::read_to_string(&path).unwrap());
        assert!(wrong.is_empty(), "{}: {wrong:#?}", path.display());
    }
}

#[test]
fn a_word_that_does_not_exist_is_found_wherever_it_stands() {
    let types = types();
    for (line, word) in [
        ("dr.arbiter.ping()", "arbiter"),
        ("dr.arbiters.pings()", "pings"),
        ("return dr.verdict.beActiv('x')", "beActiv"),
        ("if ctx.rol == 'active' then", "rol"),
        ("local x = dr.config.watchdog.failureDetection.treshold", "treshold"),
        ("local seen = dr.arbiters.sessions() local y = 1\nreturn seen.pinged", ""),
        ("local seen = dr.arbiters.sessions()\nreturn seen.pinged", "pinged"),
        (
            "local list = dr.arbiters.ping().arbiters\nfor name, seen in pairs(dr.arbiters.ping().arbiters) do seen.x() end",
            "",
        ),
        (
            "local report = dr.arbiters.ping()\nfor name, seen in pairs(report.arbiters) do\nreturn seen.managd end",
            "managd",
        ),
        ("local w = dr.config.watchdog or {}\nreturn w.heartbeet", "heartbeet"),
        ("-- dr.nonsense\nreturn 'dr.nonsense'", ""),
        ("local seen = dr.arbiters.ping()\nlocal f = function(seen) return seen.ssh end", ""),
    ] {
        let found = types.check(line);
        match word {
            "" => assert!(found.is_empty(), "{line}: {found:?}"),
            word => {
                assert!(found.iter().any(|found| found.contains(&format!("\"{word}\""))), "{line}: {found:?}")
            }
        }
    }
}
