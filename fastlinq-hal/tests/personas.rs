//! Each management firmware that the software adapter can play, one test for each transition that it allows.

mod common;

use common::{assert_clean, host, image, personas};
use fastlinq_hal::adapter::{
    Adapter, AdapterConfig, AnyAdapter, Cause, Command, ForcePolicy, Layer, McpReadyAdapter,
    Populated,
};
use fastlinq_hal::firmware::FirmwareImage;
use fastlinq_hal::init::Scratch;
use fastlinq_hal::mfw::load::LoadError;
use fastlinq_hal::mfw::resources::ResourceError;
use fastlinq_hal::mfw::{AttachError, MailboxError};
use fastlinq_model_host::ModelHost;
use fastlinq_model_host::model::Chip;
use fastlinq_pac::GrcAddress;
use fastlinq_pac::mfw::{DriverCommand, FirmwareResponse};

/// What the management firmware answers when asked for the images in the flash.
enum Inventory {
    Images(usize),
    Unsupported(u32),
    Refused(FirmwareResponse, u32),
}

use Inventory::{Images, Refused, Unsupported};

const CHIPS: [Chip; 2] = [Chip::K2, Chip::Bb];

/// The first command of all, and the one for the lock on resources.
const FEATURES: Command = Command::Mfw(DriverCommand::GET_MFW_FEATURE_SUPPORT);
const LOCK: Command = Command::Mfw(DriverCommand::RESOURCE_CMD);

/// Nobody is pushed out, so that the management firmware's first word on the load counts.
fn config() -> AdapterConfig {
    AdapterConfig {
        force: ForcePolicy::Never,
        ..AdapterConfig::default()
    }
}

fn connected(host: &ModelHost) -> McpReadyAdapter<ModelHost> {
    let reset = Adapter::new(host.clone(), config());
    assert_eq!(reset.transcript().total(), 0);
    reset.connect().unwrap()
}

/// The adapter as `populate` leaves it, or without an inventory where that is refused.
fn populated(host: &ModelHost) -> AnyAdapter<ModelHost> {
    match connected(host).populate() {
        Ok(populated) => populated.into(),
        Err(failed) => failed.adapter.without_inventory().into(),
    }
}

/// Up from any inventory; the previous state and the cause otherwise.
fn up(adapter: AnyAdapter<ModelHost>) -> Result<AnyAdapter<ModelHost>, (&'static str, Cause)> {
    let bytes = image();
    let image = FirmwareImage::parse(&bytes).unwrap();
    let mut scratch = Box::new(Scratch::new());
    let before = adapter.transcript().total();
    macro_rules! up {
        ($adapter:expr) => {
            match $adapter.up(&image, &mut scratch) {
                Ok(adapter) => Ok(AnyAdapter::from(adapter)),
                Err(failed) => {
                    let asked = failed
                        .adapter
                        .transcript()
                        .iter()
                        .any(|exchange| exchange.command == DriverCommand::LOAD_REQ);
                    assert!(asked, "the failure has the transcript");
                    Err((failed.adapter.state_name(), failed.cause))
                }
            }
        };
    }
    let up = match adapter {
        AnyAdapter::Images(adapter) => up!(adapter),
        AnyAdapter::BistUnsupported(adapter) => up!(adapter),
        AnyAdapter::Skipped(adapter) => up!(adapter),
        other => panic!("{} has no inventory", other.state_name()),
    }?;
    assert!(up.transcript().total() > before);
    Ok(up)
}

/// Reset -> McpReady.
fn connects(persona: &str) {
    for chip in CHIPS {
        let host = host(chip, persona);
        let adapter = connected(&host);
        assert_eq!(adapter.state_name(), "McpReady");
        assert!(adapter.transcript().total() > 0);
        assert!(adapter.mac_address().is_some());
        assert_clean(&host, persona);
    }
}

/// The cause of a failed transition names the management firmware, what it was asked, and what it gave.
fn assert_named(cause: &Cause) {
    assert_eq!(cause.layer(), Layer::ManagementFirmware, "{cause}");
    assert!(cause.command().is_some(), "{cause}");
    assert!(cause.raw_value().is_some(), "{cause}");
    let sentence = cause.to_string();
    assert!(sentence.starts_with("management firmware: "), "{sentence}");
}

/// Reset -> Reset.
fn does_not_connect(persona: &str, expected: fn(&Cause) -> bool, asked: Command, value: u32) {
    for chip in CHIPS {
        let host = host(chip, persona);
        let failed = Adapter::new(host.clone(), config()).connect().unwrap_err();
        assert_eq!(failed.adapter.state_name(), "Reset");
        assert_named(&failed.cause);
        assert!(expected(&failed.cause), "{:?}", failed.cause);
        assert_eq!(failed.cause.command(), Some(asked), "{failed}");
        assert_eq!(failed.cause.raw_value(), Some(value), "{failed}");
        let by_mailbox = matches!(asked, Command::Mfw(_));
        assert_eq!(failed.adapter.transcript().total() > 0, by_mailbox);
        assert_clean(&host, persona);
    }
}

/// McpReady -> NvmPopulated, or McpReady again.
fn populates(persona: &str, expected: &Inventory) {
    for chip in CHIPS {
        let host = host(chip, persona);
        match (connected(&host).populate(), expected) {
            (Ok(Populated::Images(adapter)), Images(count)) => {
                assert_eq!(adapter.state_name(), "NvmPopulated");
                assert_eq!(adapter.images().len(), *count);
                let last = adapter.transcript().last().unwrap();
                assert_eq!(last.command, DriverCommand::BIST_TEST);
            }
            (Ok(Populated::Unsupported(adapter)), Unsupported(param)) => {
                assert_eq!(adapter.state_name(), "NvmPopulated");
                assert_eq!(adapter.unsupported_param(), *param);
                let last = adapter.transcript().last().unwrap();
                assert_eq!(last.command, DriverCommand::BIST_TEST);
                assert_eq!(last.response, FirmwareResponse::UNSUPPORTED);
            }
            (Err(failed), Refused(code, param)) => {
                assert_eq!(failed.adapter.state_name(), "McpReady");
                assert_named(&failed.cause);
                let command = Command::Mfw(DriverCommand::BIST_TEST);
                assert_eq!(failed.cause.command(), Some(command));
                let reply = failed.cause.raw_reply().unwrap();
                assert_eq!((reply.code, reply.param), (*code, *param));
            }
            (other, _) => panic!("{chip:?}: {other:?}"),
        }
        assert_clean(&host, persona);
    }
}

/// McpReady -> NvmPopulated without the question, and from there to where `ends` says.
fn skips_the_inventory(persona: &str, ends: fn(&Cause) -> bool, goes_up: bool) {
    for chip in CHIPS {
        let host = host(chip, persona);
        let adapter = connected(&host).without_inventory();
        assert_eq!(adapter.state_name(), "NvmPopulated");
        let asked =
            |exchange: &fastlinq_hal::mfw::Exchange| exchange.command == DriverCommand::BIST_TEST;
        assert!(!adapter.transcript().iter().any(asked));
        match up(adapter.into()) {
            Ok(adapter) => {
                assert!(goes_up && matches!(adapter, AnyAdapter::UpSkipped(_)));
                adapter.into_reset().unwrap();
            }
            Err((state, cause)) => {
                assert_eq!(state, "NvmPopulated");
                assert_named(&cause);
                assert!(!goes_up && ends(&cause), "{cause:?}");
            }
        }
        assert_clean(&host, persona);
    }
}

/// NvmPopulated -> Up.
fn goes_up(persona: &str) {
    for chip in CHIPS {
        let host = host(chip, persona);
        let adapter = up(populated(&host)).unwrap();
        assert_eq!(adapter.state_name(), "Up");
        assert!(host.memory().live_regions > 0);
        assert_eq!(host.violations(), []);
    }
}

/// NvmPopulated -> NvmPopulated, with nothing left on the device.
fn does_not_go_up(persona: &str, expected: fn(&Cause) -> bool, replied: bool) {
    for chip in CHIPS {
        let host = host(chip, persona);
        let (state, cause) = up(populated(&host)).unwrap_err();
        assert_eq!(state, "NvmPopulated");
        assert_named(&cause);
        assert!(expected(&cause), "{cause:?}");
        assert_eq!(cause.raw_reply().is_some(), replied, "{cause}");
        assert_clean(&host, persona);
    }
}

/// Up -> Reset, and up again.
fn goes_down(persona: &str) {
    for chip in CHIPS {
        let host = host(chip, persona);
        let reset = up(populated(&host)).unwrap().into_reset().unwrap();
        assert_eq!(reset.state_name(), "Reset");
        assert!(reset.leaked().is_empty());
        let last = reset.transcript().last().unwrap();
        assert_eq!(last.command, DriverCommand::UNLOAD_DONE);
        assert_clean(&host, persona);
        let again = reset.connect().unwrap().without_inventory();
        up(again.into()).unwrap().into_reset().unwrap();
        assert_clean(&host, persona);
    }
}

/// The table: each persona once, under how far it lets an adapter go.
macro_rules! personas {
    (
        up: { $($up:ident $up_name:literal $up_inventory:expr;)* }
        not_up: { $($not_up:ident $not_up_name:literal $not_up_inventory:expr, $not_up_cause:pat => $reply:literal;)* }
        not_connected: { $($deaf:ident $deaf_name:literal $deaf_cause:pat => $asked:expr, $value:expr;)* }
    ) => {
        const TABLE: &[&str] = &[$($up_name,)* $($not_up_name,)* $($deaf_name,)*];
        $(mod $up {
            use super::*;
            #[test]
            fn connect() { connects($up_name); }
            #[test]
            fn populate() { populates($up_name, &$up_inventory); }
            #[test]
            fn without_inventory() { skips_the_inventory($up_name, |_| false, true); }
            #[test]
            fn up() { goes_up($up_name); }
            #[test]
            fn down() { goes_down($up_name); }
        })*
        $(mod $not_up {
            use super::*;
            #[test]
            fn connect() { connects($not_up_name); }
            #[test]
            fn populate() { populates($not_up_name, &$not_up_inventory); }
            #[test]
            fn without_inventory() {
                skips_the_inventory($not_up_name, |cause| matches!(cause, $not_up_cause), false);
            }
            #[test]
            fn up() { does_not_go_up($not_up_name, |cause| matches!(cause, $not_up_cause), $reply); }
        })*
        $(mod $deaf {
            use super::*;
            #[test]
            fn connect() {
                does_not_connect($deaf_name, |cause| matches!(cause, $deaf_cause), $asked, $value);
            }
        })*
    };
}

personas! {
    up: {
        modern "modern" Images(13);
        bist_unsupported "bist-unsupported" Unsupported(0);
        bist_unsupported_nonzero "bist-unsupported-nonzero" Unsupported(5);
        bist_error "bist-error" Refused(FirmwareResponse::ERROR, 0);
        zero_images "zero-images" Images(0);
        absurd_images "absurd-images" Refused(FirmwareResponse::OK, u32::MAX);
        load_hsi_1 "load-hsi-1" Unsupported(0);
        bare "bare" Unsupported(0);
        booting "booting" Images(13);
        slow "slow" Images(13);
    }
    // The flag says whether there is a reply to show.
    not_up: {
        load_refused "load-refused" Images(13), Cause::Load(LoadError::Refused { .. }) => true;
        load_requires_force "load-requires-force" Images(13), Cause::Load(LoadError::ForceNeeded { .. }) => true;
        load_already_loaded "load-already-loaded" Images(13), Cause::Load(LoadError::AlreadyLoaded { .. }) => true;
        silent_after_load "silent-after-load" Images(13), Cause::Mailbox(_) | Cause::Load(LoadError::Mailbox(_)) => false;
    }
    // What was asked, and what came.
    not_connected: {
        silent "silent" Cause::Mailbox(MailboxError::NoAnswer { .. }) => FEATURES, 0;
        halted "halted" Cause::Mailbox(MailboxError::NoAnswer { .. }) => FEATURES, 0;
        stale_sequence "stale-sequence" Cause::Mailbox(MailboxError::NoAnswer { .. }) => FEATURES, 0x0016_0000;
        lock_busy "lock-busy" Cause::Resources(ResourceError::LockBusy { .. }) => LOCK, 0x210;
        absent "absent" Cause::Attach(AttachError::Absent) => Command::Read(GrcAddress(0x8c20)), 0;
        never_boots "never-boots" Cause::Attach(AttachError::StillBooting { .. }) => Command::Read(GrcAddress(0xe2_43a0)), 0;
        no_ports "no-ports" Cause::Attach(AttachError::BadPortCount { count: 0, .. }) => Command::Read(GrcAddress(0xe2_4764)), 0;
    }
}

#[test]
fn every_persona_is_in_the_table() {
    let mut table = TABLE.to_vec();
    let mut all = personas();
    table.sort_unstable();
    all.sort_unstable();
    assert_eq!(table, all);
}
