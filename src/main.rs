//! Parse, open, serve, close. What fails to open ends the program before it has served anybody, with
//! one line that says what and one that says what to do.

use std::env;
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::process::{self, ExitCode};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use auth_user::clock::Clock;
use auth_user::commands;
use auth_user::config::{Config, Refused, Told};
use auth_user::front::{self, Front, Listeners, Options, Parts, Room, StartError};
use auth_user::log::{self, Lines, Log};
use auth_user::memory;
use auth_user::metrics::server;
use auth_user::site::{self, Given, Problem, Site};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGXFSZ};
use signal_hook::iterator::Signals;

/// Time for the whole shutdown, from the signal on. Supervisors kill after ten seconds.
const END: Duration = Duration::from_millis(9_800);

/// Time for each of the last steps of the shutdown, if something before them hung.
const LAST_MOMENT: Duration = Duration::from_millis(150);

fn main() -> ExitCode {
    match Told::read(env::args_os(), |name| env::var_os(name)) {
        Ok(Told::Serve(config)) => serve(&config),
        Ok(Told::Do(command, server)) => commands::carry_out(&command, &server),
        Ok(Told::Check(checked)) => commands::check(checked),
        Err(Refused::Asked(text)) => {
            // If the pipe is closed, nobody reads the help.
            let _ = io::stdout().write_all(text.as_bytes());
            ExitCode::SUCCESS
        }
        Err(Refused::Wrong { what, hint }) => {
            log::complain(&what, Some(&hint));
            ExitCode::from(2)
        }
    }
}

/// Serves with a log, and ends the process.
fn serve(config: &Config) -> ExitCode {
    memory::reserve_less(env::args_os());
    // Before the log's thread, since this changes the environment.
    let listeners = match Listeners::handed(config.handed).map_err(Problem::from) {
        Ok(listeners) => listeners,
        Err(problem) => {
            problem.complain();
            return ExitCode::FAILURE;
        }
    };
    let addresses = listeners
        .as_ref()
        .and_then(|handed| handed.addresses().ok());
    if let Err(Refused::Wrong { what, hint }) = config.judge(&addresses.unwrap_or_default()) {
        log::complain(&what, Some(&hint));
        return ExitCode::from(2);
    }
    let log = match Log::start(config.log) {
        Ok(log) => log,
        Err(error) => {
            Problem::no_threads(error).complain();
            return ExitCode::FAILURE;
        }
    };
    let status = match run(config, listeners) {
        Ok(true) => 0,
        Ok(false) => 1,
        Err(problem) => {
            log.flush(LAST_MOMENT);
            problem.complain();
            1
        }
    };
    log.flush(LAST_MOMENT);
    // At once, without waiting for a thread that hangs on a disk.
    process::exit(status)
}

/// Opens everything, serves until told to stop, closes everything. False if something could not be
/// saved at the end.
fn run(config: &Config, handed: Option<Listeners>) -> Result<bool, Problem> {
    site::warn(config);
    let clock = Arc::new(Clock::start());
    let room = Room::claim()?;
    #[cfg(feature = "postgres")]
    let room = match config.database {
        Some(_) => room.for_waiting(),
        None => room,
    };
    let (listeners, address) = listen(config, handed)?;
    let metrics = config.metrics.map(site::open_metrics).transpose()?;
    let besides = listeners.count() + metrics.as_ref().map_or(0, |_| server::MOST_CONNECTIONS);
    let room = room.without(besides);
    let out = Lines::start(io::stdout(), None).map_err(Problem::no_threads)?;
    let site = Site::open(&Given {
        config,
        address,
        room,
        clock: &clock,
        out: &out,
    })?;

    let origin = site.origin().to_owned();
    let options = Options::new(origin, config.trusted_proxies.clone(), room);
    let parts = Parts {
        tls: site.tls(),
        service: site.service(),
        refuse: site.refuser(),
        clock: Arc::clone(&clock),
    };
    let front = Arc::new(Front::new(listeners, options, parts)?);
    if let Some(listener) = metrics {
        let counted = Arc::clone(&front);
        let text = site.metrics(clock, move || counted.connections());
        server::start(listener, text).map_err(Problem::no_threads)?;
    }
    front.watch_certificate().map_err(Problem::no_threads)?;
    watch_signals(&front)?;

    announce(out, config, address);
    front.serve();
    let left = || END.saturating_sub(front.since_stop()).max(LAST_MOMENT);
    Ok(site.close(left))
}

/// Where visitors come in: by the sockets that were handed over, or by a port that is opened here.
/// Gives the first address too.
fn listen(
    config: &Config,
    handed: Option<Listeners>,
) -> Result<(Listeners, SocketAddr), StartError> {
    if let Some(handed) = handed {
        let addresses = handed.addresses().unwrap_or_default();
        return Ok((handed, addresses.first().copied().unwrap_or(config.listen)));
    }
    let (listener, address) = front::listen(config.listen)?;
    Ok((Listeners::own(listener), address))
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
