//! `fastlinq up`: from Reset to Up and down again, with the evidence.

use std::io::Write;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::Result;
use embedded_hal::delay::DelayNs;
use fastlinq_hal::adapter::{
    Adapter, AdapterConfig, AnyAdapter, Cause, Inventory, NvmPopulated, Populated, Reset, Up,
};
use fastlinq_hal::firmware::FirmwareImage;
use fastlinq_hal::host::Clock;
use fastlinq_hal::init::Scratch;
use fastlinq_hal::mfw::Transcript;
use fastlinq_host::AnyHost;

use crate::args::UpArgs;
use crate::progress::Progress;
use crate::report::{self, Failure, Report, Step};
use crate::{firmware_source, setup};

/// How long the link may take to come up before the report says that it is down, in microseconds.
const LINK_PATIENCE_US: u64 = 3_000_000;
const LINK_POLL_US: u32 = 1_000;

pub(crate) fn run(args: &UpArgs) -> Result<ExitCode> {
    let source =
        firmware_source::find_for(&args.adapter.adapter, args.adapter.firmware.as_deref())?;
    let image = source.runnable()?;
    let (host, recording) = setup::host(&args.adapter)?;
    let mut report = Report::new(&args.adapter, &image, &source.origin);
    let mut session = Session {
        host,
        image,
        scratch: Box::new(Scratch::new()),
        strict: args.strict,
        progress: Progress::new("going up and down", args.cycles.into()),
        report: &mut report,
    };
    let mut adapter = Adapter::new(session.host.clone(), AdapterConfig::default());
    let mut outcome = Ok(());
    for _ in 0..args.cycles {
        session.report.steps.clear();
        match session.cycle(adapter) {
            Ok(reset) => adapter = reset,
            Err(failure) => {
                outcome = Err(*failure);
                break;
            }
        }
        session.report.cycles += 1;
        session.progress.advance(1);
    }
    let Session { host, progress, .. } = session;
    drop(progress);
    for violation in host.violations() {
        let warning = format!("a rule of the chip was broken: {violation}");
        report.warnings.push(warning);
    }
    report.failure = outcome.err();
    recording.finish()?;
    print(&report, args.json)?;
    Ok(if report.failure.is_none() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn print(report: &Report, json: bool) -> Result<()> {
    let mut out = anstream::stdout().lock();
    if json {
        writeln!(out, "{}", serde_json::to_string_pretty(report)?)?;
    } else {
        report::print(&mut out, report)?;
    }
    Ok(())
}

struct Session<'a> {
    host: AnyHost,
    image: FirmwareImage<'a>,
    scratch: Box<Scratch>,
    strict: bool,
    progress: Progress,
    report: &'a mut Report,
}

type Outcome<T> = Result<T, Box<Failure>>;

impl Session<'_> {
    fn cycle(&mut self, adapter: Adapter<Reset, AnyHost>) -> Outcome<Adapter<Reset, AnyHost>> {
        let timer = self.begin("Reset -> McpReady");
        let adapter = adapter
            .connect()
            .map_err(|failed| failure("Reset", &failed.cause, failed.adapter.transcript()))?;
        self.report.management_firmware = Some(adapter.info().version.to_string());
        self.report.mac = adapter.mac_address().map(report::mac);
        let note = format!("management firmware {}", adapter.info().version);
        self.step("Reset", "McpReady", timer, note);

        let timer = self.begin("McpReady -> NvmPopulated");
        match adapter.populate() {
            Ok(Populated::Images(adapter)) => {
                let note = format!("BIST_TEST: {} images in the flash", adapter.images().len());
                self.inventory(timer, note);
                self.up_and_down(adapter)
            }
            Ok(Populated::Unsupported(adapter)) => {
                let note = format!(
                    "BIST_TEST: not supported (0x0000, parameter {})",
                    adapter.unsupported_param()
                );
                self.inventory(timer, note);
                self.up_and_down(adapter)
            }
            Err(failed) if self.strict => Err(failure(
                "McpReady",
                &failed.cause,
                failed.adapter.transcript(),
            )),
            Err(failed) => {
                let warning = failed.cause.to_string();
                self.report
                    .warnings
                    .push(format!("{warning}; going on without an inventory"));
                let adapter = failed.adapter.without_inventory();
                self.inventory(
                    timer,
                    "BIST_TEST: refused, going on without an inventory".into(),
                );
                self.up_and_down(adapter)
            }
        }
    }

    fn inventory(&mut self, timer: Timer, note: String) {
        self.report.bist = Some(note.clone());
        self.step("McpReady", "NvmPopulated", timer, note);
    }

    fn up_and_down<I: Inventory>(
        &mut self,
        adapter: Adapter<NvmPopulated<I>, AnyHost>,
    ) -> Outcome<Adapter<Reset, AnyHost>>
    where
        AnyAdapter<AnyHost>: From<Adapter<NvmPopulated<I>, AnyHost>>,
    {
        let timer = self.begin("NvmPopulated -> Up");
        let mut adapter = adapter
            .up(&self.image, &mut self.scratch)
            .map_err(|failed| {
                failure("NvmPopulated", &failed.cause, failed.adapter.transcript())
            })?;
        let note = format!("storm firmware {}", self.image.version());
        self.step("NvmPopulated", "Up", timer, note);

        self.progress.step("waiting for the link");
        match self.link(&mut adapter) {
            Ok(link) => self.report.link = Some(link),
            Err(cause) => return Err(failure("Up", &cause, adapter.transcript())),
        }
        let timer = self.begin("Up -> Reset");
        let exchanges = adapter.transcript().total();
        let adapter = adapter
            .down()
            .map_err(|failed| failure("Up", &failed.cause, failed.adapter.transcript()))?;
        let exchanges = adapter.transcript().total().max(exchanges);
        self.step(
            "Up",
            "Reset",
            timer,
            format!("{exchanges} mailbox exchanges in all"),
        );
        Ok(adapter)
    }

    /// Asks for the link and waits for it.
    fn link<I: Inventory>(
        &mut self,
        adapter: &mut Adapter<Up<I>, AnyHost>,
    ) -> Result<String, Cause> {
        let settings = adapter.flash_link_settings();
        let mut link = adapter.set_link(&settings)?;
        let deadline = self.host.now_us() + LINK_PATIENCE_US;
        while !link.up && self.host.now_us() < deadline {
            self.host.delay_us(LINK_POLL_US);
            link = adapter.link()?;
        }
        adapter.poll_events(|event| log::debug!("event: {event:?}"))?;
        Ok(report::link(&link))
    }

    fn begin(&self, step: &'static str) -> Timer {
        self.progress.step(step);
        Timer::start(&self.host)
    }

    fn step(&mut self, from: &'static str, to: &'static str, timer: Timer, note: String) {
        let (wall_us, model_us) = timer.stop(&self.host);
        self.report.steps.push(Step {
            from,
            to,
            wall_us,
            model_us,
            note,
        });
    }
}

fn failure(state: &'static str, cause: &Cause, transcript: &Transcript) -> Box<Failure> {
    Box::new(Failure::new(state, cause, transcript))
}

/// Time of this machine, and time of the software adapter, both in microseconds.
struct Timer {
    wall: Instant,
    model_us: u64,
}

impl Timer {
    fn start(host: &AnyHost) -> Self {
        Self {
            wall: Instant::now(),
            model_us: host.now_us(),
        }
    }

    fn stop(self, host: &AnyHost) -> (u64, u64) {
        let wall = u64::try_from(self.wall.elapsed().as_micros()).unwrap_or(u64::MAX);
        (wall, host.now_us().saturating_sub(self.model_us))
    }
}
