//! What shells complete and what the man page says, both made from the flags and commands as they
//! are defined.

use clap::builder::Resettable;
use clap::{Arg, Command as Definition, CommandFactory as _, ValueEnum, ValueHint};
use clap_complete::{Generator, shells};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

use crate::config::{Flags, commands, operators};

/// A shell that can be told what to complete.
#[derive(Clone, Copy, Debug, PartialEq, ValueEnum)]
pub enum Shell {
    Bash,
    Zsh,
    Fish,
}

/// The name of the program.
const PROGRAM: &str = "auth_user";

/// For bash without the package bash-completion: there, readline takes `--flag=value` for three
/// words, and the flag is not the word before the value.
const WORDS_AT_EQUALS: &str = "
_auth_user_at_equals() {
    if [[ \"$3\" == \"=\" && ${COMP_CWORD} -ge 2 ]]; then
        _auth_user \"$1\" \"$2\" \"${COMP_WORDS[COMP_CWORD-2]}\"
    else
        _auth_user \"$@\"
    fi
}
complete -F _auth_user_at_equals -o bashdefault -o default auth_user
";

/// How the script for fish finds out whether a command has been typed yet.
const FLAGS_OF_FISH: &str =
    "    argparse -s (__fish_auth_user_global_optspecs) -- $cmd 2>/dev/null\n";

/// The same where the value of a flag is being typed: so far, that flag has none.
const FLAGS_AND_VALUE_OF_FISH: &str =
    "    argparse -s (__fish_auth_user_global_optspecs) -- $cmd 2>/dev/null
    or argparse -s (__fish_auth_user_global_optspecs) -- $cmd '' 2>/dev/null\n";

impl Shell {
    /// The script that has the shell complete flags, commands, choices and paths.
    pub fn completions(self) -> String {
        let script = match self {
            Self::Bash => generated(shells::Bash) + WORDS_AT_EQUALS,
            Self::Zsh => generated(shells::Zsh),
            Self::Fish => generated(shells::Fish).replace(FLAGS_OF_FISH, FLAGS_AND_VALUE_OF_FISH),
        };
        let lines = script.lines().map(|line| line.trim_end().to_owned() + "\n");
        lines.collect()
    }
}

fn generated(shell: impl Generator) -> String {
    let mut script = Vec::new();
    let mut definition = completed();
    clap_complete::generate(shell, &mut definition, PROGRAM, &mut script);
    String::from_utf8_lossy(&script).into_owned()
}

/// The definition with what completing needs: the flags of the server that some commands read too,
/// and which values are no path.
fn completed() -> Definition {
    let server = Flags::command();
    let of_server: Vec<Arg> = server
        .get_arguments()
        .cloned()
        .map(without_default)
        .collect();
    let read_by = |name: &str| -> Vec<Arg> {
        let is_read = |flag: &&Arg| match name {
            commands::CHECK => true,
            _ if commands::Command::is_of_operators(name) => operators::shows(flag),
            _ => false,
        };
        of_server.iter().filter(is_read).cloned().collect()
    };
    let server = server.mut_subcommands(|command| {
        let flags = read_by(command.get_name());
        with_flags(command, &flags)
    });
    hinted(server)
}

/// A flag that somebody has to give elsewhere counts as not given here.
fn without_default(flag: Arg) -> Arg {
    flag.default_value(Resettable::Reset)
}

fn with_flags(command: Definition, flags: &[Arg]) -> Definition {
    let command = command.mut_subcommands(|inner| with_flags(inner, flags));
    let is_new = |flag: &&Arg| {
        let mut own = command.get_arguments();
        !own.any(|own| own.get_id() == flag.get_id())
    };
    let flags: Vec<Arg> = flags.iter().filter(is_new).cloned().collect();
    command.args(flags)
}

/// Values that are no path are not completed by the names of files.
fn hinted(command: Definition) -> Definition {
    command
        .mut_args(|arg| match arg.get_value_hint() {
            ValueHint::Unknown if arg.get_action().takes_values() => {
                arg.value_hint(ValueHint::Other)
            }
            _ => arg,
        })
        .mut_subcommands(hinted)
}

/// `auth_user(1)`, in roff.
pub fn man_page() -> String {
    let mut server = Flags::command();
    let man = Man::new(server.clone()).manual("User Commands");
    let mut page = Vec::new();
    // Writing to memory does not fail.
    let _ = man.render_title(&mut page);
    let _ = man.render_name_section(&mut page);
    let _ = man.render_synopsis_section(&mut page);
    let _ = man.render_description_section(&mut page);
    let _ = man.render_options_section(&mut page);
    let mut page = String::from_utf8_lossy(&page).replace(&preamble(), "");
    page.insert_str(0, &preamble());

    let mut head = Roff::new();
    head.control("SH", ["COMMANDS"]);
    head.text([
        roman("Every command has "),
        bold("--help"),
        roman(". Those about accounts work on the files of "),
        bold("--users"),
        roman(", whether a server is running on them or not."),
    ]);
    page += &head.to_roff();
    server.build();
    for command in server.get_subcommands() {
        page += &described(command);
    }
    page + &files_and_signals()
}

/// What each piece of roff begins with.
fn preamble() -> String {
    Roff::new().render()
}

/// A command and those within it: how it is called, what it does, and its flags.
fn described(command: &Definition) -> String {
    if command.has_subcommands() {
        return command.get_subcommands().map(described).collect();
    }
    let usage = command.clone().render_usage().to_string();
    // A plain hyphen would be set as one, and not as what people type.
    let usage = usage.trim_start_matches("Usage: ").replace('-', "\\-");
    let mut head = Roff::new();
    head.control("SS", [usage.as_str()]);
    let about = [command.get_about(), command.get_long_about()];
    let mut said = about.iter().flatten().map(ToString::to_string);
    if let Some(about) = said.next() {
        head.text([roman(about + ".")]);
    }
    let mut options = Vec::new();
    let own = command.clone().mut_arg("help", |help| help.hide(true));
    let _ = Man::new(own).render_options_section(&mut options);
    let options = String::from_utf8_lossy(&options).replace(&preamble(), "");
    head.to_roff() + options.trim_start_matches(".SH OPTIONS\n")
}

/// What is not in the definition and belongs to such a page.
fn files_and_signals() -> String {
    let mut page = Roff::new();
    for (heading, entries) in SECTIONS {
        page.control("SH", [*heading]);
        for (term, meaning) in *entries {
            page.control("TP", []);
            page.text([bold(*term)]);
            page.text([roman(*meaning)]);
        }
    }
    page.to_roff()
}

/// A heading, and the terms under it with what they mean.
type Section = (&'static str, &'static [(&'static str, &'static str)]);

const SECTIONS: &[Section] = &[
    (
        "FILES",
        &[
            (
                "users.json",
                "The accounts. It may be edited while the server runs.",
            ),
            (
                "sessions.json, events.jsonl, outbox/",
                "Beside it: who is logged in, what happened, and mail that waits.",
            ),
            (
                "access.toml",
                "Beside it, if there: who may enter which application.",
            ),
            (
                "server.crt, server.key",
                "The certificate and its key, made at the first start if neither is there.",
            ),
        ],
    ),
    (
        "SIGNALS",
        &[
            (
                "SIGTERM, SIGINT",
                "Finish what is in flight, within 10 seconds, and end.",
            ),
            ("SIGHUP", "Take up a new certificate."),
        ],
    ),
    (
        "EXIT STATUS",
        &[
            ("0", "All is well."),
            (
                "1",
                "It could not start or do what was asked, or something could not be saved at the end.",
            ),
            ("2", "A flag, a variable or a value is wrong."),
        ],
    ),
];
