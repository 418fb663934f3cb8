//! Flags, then files, then the port: what fails to open ends the program before it has served
//! anybody, with one line that says what and one that says what to do.

use std::env;
use std::fmt::Display;
use std::fs;
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{self, ExitCode};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use auth_user::accounts::pending::Pending;
use auth_user::accounts::regulars::Regulars;
use auth_user::accounts::throttle::Throttle;
use auth_user::clock::Clock;
use auth_user::commands;
use auth_user::config::{self, Config, Refused, Smtp, Told, default_issuer};
use auth_user::cookies::Cookies;
use auth_user::durable::directory_of;
use auth_user::errands::Errands;
use auth_user::front::relay::Relay;
use auth_user::front::tls::{self, Tls};
use auth_user::front::{self, Front, Options, Parts, Room, StartError};
use auth_user::gate::{self, Gate};
use auth_user::handlers::{self, App, Journal, Script, SentTwice};
use auth_user::log::{self, Lines, Log};
use auth_user::mail::{Outbox, SmtpUrl, StartupProblem};
use auth_user::memory;
use auth_user::pages::{self, Site};
use auth_user::redirect::Targets;
use auth_user::reply::{Outcome, Presenter};
use auth_user::results::Results;
use auth_user::server;
use auth_user::store::{OpenError, Rules, Store};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGXFSZ};
use signal_hook::iterator::Signals;
use url::Url;

/// Time for the whole shutdown, from the signal on. Supervisors kill after ten seconds.
const END: Duration = Duration::from_millis(9_800);

/// Time for each of the last steps of the shutdown, if something before them hung.
const LAST_MOMENT: Duration = Duration::from_millis(150);

/// Largest template taken from the current directory in compatibility mode, in bytes.
const MAX_TEMPLATE: u64 = 64 * 1024;

fn main() -> ExitCode {
    let config = match Told::read(env::args_os(), |name| env::var_os(name)) {
        Ok(Told::Serve(config)) => *config,
        Ok(Told::Do(command)) => return commands::carry_out(&command),
        Err(Refused::Asked(text)) => {
            // If the pipe is closed, nobody reads the help.
            let _ = io::stdout().write_all(text.as_bytes());
            return ExitCode::SUCCESS;
        }
        Err(Refused::Wrong { what, hint }) => {
            log::complain(&what, Some(&hint));
            return ExitCode::from(2);
        }
    };
    memory::reserve_less(env::args_os());
    let log = match Log::start(config.log) {
        Ok(log) => log,
        Err(error) => {
            let problem = Problem::no_threads(error);
            log::complain(&problem.what, Some(&problem.hint));
            return ExitCode::FAILURE;
        }
    };
    let status = match run(config) {
        Ok(true) => 0,
        Ok(false) => 1,
        Err(problem) => {
            log.flush(LAST_MOMENT);
            log::complain(&problem.what, Some(&problem.hint));
            1
        }
    };
    log.flush(LAST_MOMENT);
    // At once, without waiting for a thread that hangs on a disk.
    process::exit(status)
}

/// Why the program cannot start, and what to do about it.
struct Problem {
    what: String,
    hint: String,
}

impl Problem {
    fn new(what: impl Display, hint: impl Display) -> Self {
        Self {
            what: what.to_string(),
            hint: hint.to_string(),
        }
    }

    fn no_threads(error: io::Error) -> Self {
        Self::new(
            format_args!("cannot start threads: {error}"),
            "raise the limit on processes or memory, for instance with ulimit -u and ulimit -v",
        )
    }
}

impl From<StartError> for Problem {
    fn from(error: StartError) -> Self {
        Self::new(&error, &error.hint)
    }
}

impl From<OpenError> for Problem {
    fn from(error: OpenError) -> Self {
        Self::new(&error, error.hint())
    }
}

impl From<StartupProblem> for Problem {
    fn from(error: StartupProblem) -> Self {
        Self::new(&error, error.hint())
    }
}

/// Opens everything, serves until told to stop, closes everything. False if something could not be
/// saved at the end.
fn run(config: Config) -> Result<bool, Problem> {
    warn(&config);
    let clock = Arc::new(Clock::start());
    let room = Room::claim()?;
    let (listener, address) = front::listen(config.listen)?;
    let public_url = config
        .public_url
        .clone()
        .map_or_else(|| local_url(address), Ok)?;
    let out = Lines::start(io::stdout(), None).map_err(Problem::no_threads)?;
    let files = Files::open(&config, &public_url, &clock)?;
    let (outbox, tls) = (Arc::clone(&files.outbox), files.tls.clone());
    let app = Arc::new(open_app(&config, &public_url, files, &room, &clock, &out)?);

    let relay = Relay::open(room.inner)?;
    let origin = app.public_url.clone();
    let parts = Parts {
        options: Options::new(origin, config.trusted_proxies.clone(), room),
        tls,
        relay,
        service: service(&app),
        refuse: refuser(&app),
        clock,
    };
    let front = Front::new(listener, parts).map_err(Problem::no_threads)?;
    let front = Arc::new(front);
    front.watch_certificate().map_err(Problem::no_threads)?;
    watch_signals(&front)?;

    announce(out, &config, address);
    front.serve();
    let left = || END.saturating_sub(front.since_stop()).max(LAST_MOMENT);
    Ok(close(&app, &outbox, left))
}

/// What is kept on disk.
struct Files {
    rules: Rules,
    store: Arc<Store>,
    tls: Option<Arc<Tls>>,
    outbox: Arc<Outbox>,
}

impl Files {
    fn open(config: &Config, public_url: &Url, clock: &Arc<Clock>) -> Result<Self, Problem> {
        let delivery = config.smtp.as_ref().map(smtp_url).transpose()?;
        let directory = directory_of(&config.users);
        let rules = Rules::open(directory, clock)?;
        let limits = config.session_limits;
        let store = Store::open(&config.users, limits, Arc::clone(clock))?;
        let tls = config
            .tls
            .then(|| open_tls(config, public_url, clock))
            .transpose()?;
        // Last, since the outbox may send at once.
        let from = config.mail_from.clone();
        let outbox = Outbox::open(directory.join("outbox"), from, delivery)?;
        Ok(Self {
            rules,
            store: Arc::new(store),
            tls,
            outbox: Arc::new(outbox),
        })
    }
}

/// What the handlers work with.
fn open_app(
    config: &Config,
    public_url: &Url,
    files: Files,
    room: &Room,
    clock: &Arc<Clock>,
    out: &Lines,
) -> Result<App, Problem> {
    let origin = public_url.origin().ascii_serialization();
    let issuer = config.issuer.clone();
    let issuer = issuer.unwrap_or_else(|| default_issuer(&host(public_url)));
    let store = Arc::clone(&files.store);
    let errands = Errands::open(store, files.outbox, origin.clone(), Arc::clone(clock));
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let waiting = gate::MOST_WAITING.min(room.connections / 2);
    let steady = Arc::clone(clock);
    let sent_twice = SentTwice::open(move || steady.now().steady);
    let script = || Script::new(script_template(), out.clone());
    Ok(App {
        store: files.store,
        access: files.rules,
        gate: Gate::open(cores, waiting).map_err(Problem::no_threads)?,
        throttle: Throttle::new(config.registrations_per_hour),
        regulars: Regulars::default(),
        results: Results::new(room.connections / 4),
        pending: Arc::new(Pending::new()),
        errands: errands.map_err(Problem::no_threads)?,
        journal: Journal::default(),
        presenter: presenter(config, &issuer, files.tls),
        cookies: Cookies::new(config.cookie_domain.as_deref()),
        targets: Targets::new(public_url.clone(), config.cookie_domain.clone()),
        public_url: origin,
        issuer,
        session_limits: config.session_limits,
        registration: config.registration,
        sent_twice: sent_twice.map_err(Problem::no_threads)?,
        script: config.compat.then(script),
    })
}

/// Closes what may have something left to save, each within the time that is `left`. False if
/// something was lost.
fn close(app: &App, outbox: &Outbox, left: impl Fn() -> Duration) -> bool {
    let written = app.errands.close(left());
    if !written {
        tracing::error!("some mails could not be written before the end");
    }
    outbox.stop(left());
    let saved = app.store.close(left());
    if !saved {
        tracing::error!("some changes could not be saved before the end");
    }
    written && saved
}

fn warn(config: &Config) {
    for name in config::unknown_variables(env::vars_os()) {
        tracing::warn!(name, "this environment variable means nothing to auth_user");
    }
    if config.compat {
        tracing::warn!(
            "compatibility mode prints keys and shows new passwords to whoever asks: \
             use it only for tests and programs on this machine"
        );
    }
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
}

/// Where the site is found if the operator does not say.
fn local_url(address: SocketAddr) -> Result<Url, Problem> {
    let url = format!("https://localhost:{}", address.port());
    Url::parse(&url).map_err(|error| Problem::new(error, "give its address with --public-url"))
}

fn host(url: &Url) -> String {
    url.host_str().unwrap_or("localhost").to_owned()
}

fn smtp_url(smtp: &Smtp) -> Result<SmtpUrl, Problem> {
    match smtp {
        Smtp::Url(url) => Ok(url.clone()),
        Smtp::File(path) => {
            let hint = "AUTH_SMTP_FILE names a file with one line such as smtps://host:465";
            let text = fs::read_to_string(path).map_err(|error| {
                Problem::new(format_args!("cannot read {path:?}: {error}"), hint)
            })?;
            SmtpUrl::parse(config::clean(&text))
                .map_err(|error| Problem::new(format_args!("cannot use {path:?}: {error}"), hint))
        }
    }
}

fn open_tls(config: &Config, public_url: &Url, clock: &Clock) -> Result<Arc<Tls>, Problem> {
    let files = tls::Files {
        certificate: config.cert.clone(),
        key: config.key.clone(),
        host: host(public_url),
        allow_open_key: config.compat,
    };
    Ok(Arc::new(Tls::open(files, clock.now().wall)?))
}

/// The page that asks for the key: as with the script, the one in the current directory if there is
/// one, so that an operator's changes to it are kept.
fn script_template() -> String {
    let own = Path::new("secret_key.html");
    let small = fs::metadata(own).is_ok_and(|file| file.is_file() && file.len() <= MAX_TEMPLATE);
    small
        .then(|| fs::read_to_string(own).ok())
        .flatten()
        .filter(|template| template.contains("{username}"))
        .unwrap_or_else(|| pages::COMPAT_CODE.to_owned())
}

/// The operator's logo, if there is one beside the accounts. One that cannot be used is left out.
fn logo(directory: &Path) -> Option<String> {
    let (path, media_type) = pages::LOGO_FILES
        .map(|(name, media_type)| (directory.join(name), media_type))
        .into_iter()
        .find(|(path, _)| path.exists())?;
    let found = fs::metadata(&path);
    let size = found.as_ref().map_or(u64::MAX, fs::Metadata::len);
    // Reading from a pipe would wait for somebody to write to it.
    let image = match found {
        Ok(found) if !found.is_file() => Err(io::Error::other("is not a file")),
        _ => fs::read(&path),
    };
    match image {
        Ok(image) if size <= pages::MAX_LOGO => Some(pages::logo_url(media_type, &image)),
        Ok(_) => {
            let most = pages::MAX_LOGO;
            tracing::warn!(
                file = log::path(&path),
                size,
                most,
                "the logo is too large and is not shown"
            );
            None
        }
        Err(error) => {
            tracing::warn!(file = log::path(&path), %error, "the logo cannot be read and is not shown");
            None
        }
    }
}

fn presenter(config: &Config, issuer: &str, tls: Option<Arc<Tls>>) -> Presenter {
    let site = Site {
        issuer: issuer.to_owned(),
        logo: logo(directory_of(&config.users)),
        registration_open: config.registration.is_open(),
        // The original script has no such box.
        remember: match config.compat {
            true => Duration::ZERO,
            false => config.session_limits.remember,
        },
    };
    // A browser told to insist on TLS would not let its user accept a certificate made here.
    let hsts = move || tls.as_ref().is_some_and(|tls| !tls.is_made_here());
    Presenter::new(site, config.cookie_domain.as_deref(), hsts, config.compat)
}

fn service(app: &Arc<App>) -> Arc<server::Service> {
    let (answering, failing) = (Arc::clone(app), Arc::clone(app));
    Arc::new(server::Service {
        answer: Box::new(move |request| handlers::answer(&answering, request)),
        failed: Box::new(move |request| {
            handlers::refuse(&failing, Outcome::Internal, None, Some(&request.path))
        }),
    })
}

fn refuser(app: &Arc<App>) -> front::Refuse {
    let app = Arc::clone(app);
    Box::new(move |refusal, accept, target| {
        let outcome = Outcome::Rejected(refusal);
        let code = outcome.code();
        (handlers::refuse(&app, outcome, accept, target), code)
    })
}

/// SIGTERM and SIGINT stop the front, SIGHUP reloads the certificate. The thread waits for nothing
/// else, so that a second signal is heard whatever the first one began.
fn watch_signals(front: &Arc<Front>) -> Result<(), Problem> {
    let mut signals = Signals::new([SIGTERM, SIGINT, SIGHUP, SIGXFSZ]).map_err(|error| {
        Problem::new(
            format_args!("cannot listen for signals: {error}"),
            "raise the limit on open files, for instance with ulimit -n 1024",
        )
    })?;
    let front = Arc::clone(front);
    thread::Builder::new()
        .name("signals".to_owned())
        .spawn(move || {
            for signal in signals.forever() {
                match signal {
                    SIGHUP => front.reload_certificate(),
                    // A file has grown to its limit: the write fails, and whoever wrote says so.
                    SIGXFSZ => {}
                    _ => {
                        front.stop();
                        tracing::info!(signal, "finishing what is in flight");
                    }
                }
            }
        })
        .map(drop)
        .map_err(Problem::no_threads)
}

/// Prints the address on standard output, where whoever started this program may read the port.
fn announce(out: Lines, config: &Config, address: SocketAddr) {
    let scheme = if config.tls { "https" } else { "http" };
    let port = address.port();
    out.put(format!("Serving at port {port} ({scheme}://localhost:{port})\n").as_bytes());
}
