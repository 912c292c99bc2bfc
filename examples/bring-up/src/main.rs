//! The shortest useful program: an adapter from Reset to Up and back.

use fastlinq_hal::adapter::{Adapter, AdapterConfig};
use fastlinq_hal::firmware::FirmwareImage;
use fastlinq_hal::init::Scratch;
use fastlinq_host::AdapterName;
use fastlinq_model_host::model::firmware_image::synthetic_image;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // The adapter (model, vfio:0000:3b:00.0, vfio-user:PATH) and the file with its storm firmware.
    let mut arguments = std::env::args().skip(1);
    let name: AdapterName = arguments.next().as_deref().unwrap_or("model").parse()?;
    let firmware = arguments
        .next()
        .map_or_else(|| Ok(synthetic_image()), std::fs::read)?;
    let image = FirmwareImage::parse(&firmware)?;
    let mut scratch = Box::new(Scratch::new());

    let adapter = Adapter::new(name.open()?, AdapterConfig::default());
    let adapter = adapter.connect().map_err(|failed| failed.cause)?;
    println!("management firmware {}", adapter.info().version);

    // Whether the management firmware knows its flash images or not: the adapter goes Up.
    let populated = adapter.populate().map_err(|failed| failed.cause)?;
    let adapter = populated
        .up(&image, &mut scratch)
        .map_err(|failed| failed.cause)?;
    println!("{}, PF {}", adapter.state_name(), adapter.identity().abs_pf);

    adapter.into_reset().map_err(|failed| failed.cause)?;
    Ok(())
}
