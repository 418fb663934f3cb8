//! `auth_user import`: what it prints of accounts that were taken over, or of lines that cannot be.

use std::io::{self, Write as _};

use serde_json::{Value, json};

use super::Failure;
use super::opened::Opened;
use super::said::{posting, print_json, tell_besides};
use crate::config::{Import, OfServer};
use crate::log::complain;
use crate::operator::Place;
use crate::operator::import::{self, Bad, Imported, Judged, NotImported, Wanted};
use crate::terminal::{Progress, printable};

/// `import`.
pub(super) fn import(asked: &Import, server: &OfServer) -> Result<(), Failure> {
    let wanted = Wanted {
        format: asked.format,
        file: &asked.file,
        email_domain: asked.email_domain.as_deref(),
        local_names: asked.local_names,
    };
    let opened = Opened::of(server)?;
    let reading = Progress::begin("reading".to_owned(), 0);
    let judged = import::judge(opened.source(), &wanted);
    drop(reading);
    let judged = judged.map_err(|why| refused(why, asked))?;
    let imported = if asked.dry_run {
        foretell_mails(&judged, server)?;
        judged.imported
    } else {
        save(judged, asked, (server, &opened))?
    };
    let admins = imported.iter().filter(|one| one.is_admin);
    let admins: Vec<&str> = admins.map(|one| one.username.as_str()).collect();
    if !admins.is_empty() {
        complain(&format!("in the group admins: {}", admins.join(", ")), None);
    }
    let verb = if asked.dry_run {
        "would be imported"
    } else {
        "imported"
    };
    let message = format!("{} accounts {verb}.", imported.len());
    if asked.json {
        print_json(&document("imported", &message, asked, &imported, &[]));
        return Ok(());
    }
    let mut text = String::new();
    for Imported { line, username, .. } in &imported {
        text.push_str(&format!("line {line}: {username}\n"));
    }
    text.push_str(&message);
    text.push('\n');
    // If nobody reads it, the exit status counts.
    let _ = io::stdout().lock().write_all(text.as_bytes());
    Ok(())
}

/// Says how many would be mailed a link, and what it would begin with: once they are on their way it
/// is too late to find `--public-url` forgotten.
fn foretell_mails(judged: &Judged<'_>, server: &OfServer) -> Result<(), Failure> {
    let invited = judged.invited();
    if invited > 0 {
        let assumed = posting(server)?;
        assumed.warn();
        let site = &assumed.posting.site;
        let what = match invited {
            1 => "1 invitation would be mailed; its link begins with".to_owned(),
            _ => format!("{invited} invitations would be mailed; their links begin with"),
        };
        complain(&format!("{what} {site}"), None);
    }
    Ok(())
}

/// Saves what was judged, and says what else the operator should know.
fn save(
    judged: Judged<'_>,
    asked: &Import,
    (server, opened): (&OfServer, &Opened),
) -> Result<Vec<Imported>, Failure> {
    let assumed = match judged.invited() {
        0 => None,
        _ => Some(posting(server)?),
    };
    let (total, mails) = (judged.imported.len(), judged.invited());
    let what = match mails {
        0 => format!("importing {total} accounts"),
        _ => format!("importing {total} accounts, mails written"),
    };
    let progress = Progress::begin(what, mails);
    let place = Place {
        progress: Some(progress.done()),
        ..opened.place(server, assumed.as_ref())?
    };
    let done = judged.save(&place);
    drop(progress);
    let mut done = done.map_err(|why| refused(why, asked))?;
    if let Some(assumed) = &assumed {
        assumed.warn();
    }
    let mails = std::mem::take(&mut done.mails);
    let imported = tell_besides(done, server);
    let written = mails.iter().filter(|mail| mail.is_ok()).count();
    if written > 0 && !server.sends_mail() {
        let outbox = opened.source().outbox_folder();
        let outbox =
            outbox.map_or_else(|| "the database".into(), |path| path.display().to_string());
        let waiting = match written {
            1 => "1 mail waits".to_owned(),
            _ => format!("{written} mails wait"),
        };
        complain(&format!("{waiting} in {outbox}"), None);
    }
    if written < mails.len() {
        let what = format!(
            "{} mails with links cannot be written",
            mails.len() - written
        );
        complain(
            &what,
            Some("invite these people again, or pass their links on"),
        );
    }
    Ok(imported)
}

fn refused(why: NotImported, asked: &Import) -> Failure {
    let failed = |what: String, hint: &str, bad: &[Bad]| {
        if asked.json {
            print_json(&document("import_refused", &what, asked, &[], bad));
        }
        let hint = Some(hint.to_owned());
        Failure::Failed { what, hint }
    };
    match why {
        NotImported::Refused(why) => Failure::of(&why, "import", asked.json),
        NotImported::Unread { what, hint } => failed(what, &hint, &[]),
        NotImported::Bad { bad, total, hint } => {
            let mut err = io::stderr().lock();
            for Bad {
                line,
                username,
                why,
            } in &bad
            {
                let (username, why) = (printable(username), printable(why));
                // If standard error is closed, nobody can be told.
                let _ = writeln!(err, "line {line}: {username}: {why}");
            }
            drop(err);
            let count = bad.len();
            let what = format!("nothing was imported: {count} of {total} entries cannot be taken");
            failed(what, hint, &bad)
        }
    }
}

fn document(
    code: &str,
    message: &str,
    asked: &Import,
    imported: &[Imported],
    refused: &[Bad],
) -> Value {
    let imported = imported.iter();
    let imported = imported.map(|one| {
        let mut said = json!({ "line": one.line, "username": one.username });
        if let Some(link) = &one.link {
            said["link"] = json!(link.as_str());
        }
        said
    });
    let refused = refused
        .iter()
        .map(|bad| json!({ "line": bad.line, "username": bad.username, "message": bad.why }));
    json!({
        "code": code,
        "message": message,
        "dry_run": asked.dry_run,
        "imported": imported.collect::<Vec<Value>>(),
        "refused": refused.collect::<Vec<Value>>(),
    })
}
