//! Shows what the module in the port says of itself, through embedded-hal's I2C.

mod decode;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, ValueEnum};
use embedded_hal::i2c::I2c;
use example_support::AdapterArgs;
use fastlinq_hal::adapter::{Adapter, AdapterConfig};
use fastlinq_hal::peripherals::{ModuleError, PAGE_SELECT};
use fastlinq_model_host::model::mfw::Module;

/// Shows what the module in the port says of itself.
#[derive(Debug, Parser)]
#[command(version)]
struct Args {
    #[command(flatten)]
    adapter: AdapterArgs,
    /// Module in the cage of the software adapter in this process.
    #[arg(long, value_enum, default_value_t = Plugged::Sfp28)]
    module: Plugged,
    /// Print the memory as it is, too.
    #[arg(long)]
    dump: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Plugged {
    Sfp28,
    Sfp28Copper,
    Qsfp28,
    Qsfp28Paged,
    None,
}

impl From<Plugged> for Module {
    fn from(plugged: Plugged) -> Self {
        match plugged {
            Plugged::Sfp28 => Self::Sfp28Optical,
            Plugged::Sfp28Copper => Self::Sfp28Copper,
            Plugged::Qsfp28 => Self::Qsfp28Optical,
            Plugged::Qsfp28Paged => Self::Qsfp28Paged,
            Plugged::None => Self::Absent,
        }
    }
}

fn main() -> Result<ExitCode> {
    let args = Args::parse();
    let host = args.adapter.open()?;
    if let Some(model) = host.model() {
        model.with_card(|card| {
            card.with_mfw(|mfw, effects| mfw.set_module(0, args.module.into(), effects));
        });
    }
    // No storm firmware is needed: the management firmware reads the module.
    let adapter = Adapter::new(host, AdapterConfig::default());
    let mut adapter = adapter.connect().map_err(|failed| failed.cause)?;
    let peripherals = adapter.peripherals();
    // Reading all pages of a QSFP means selecting them, which is the one thing that is written.
    let mut bus = peripherals.module_with(PAGE_SELECT);
    match decode::report(&mut bus) {
        Ok(report) => print!("{report}"),
        Err(ModuleError::NotPresent) => {
            println!("no module in the port");
            return Ok(ExitCode::FAILURE);
        }
        Err(error) => return Err(error.into()),
    }
    if args.dump {
        let mut memory = [0; 256];
        bus.write_read(decode::MEMORY, &[0], &mut memory)?;
        for (number, line) in memory.chunks(16).enumerate() {
            println!("{:02x}  {line:02x?}", number * 16);
        }
    }
    Ok(ExitCode::SUCCESS)
}
