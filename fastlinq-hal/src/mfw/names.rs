//! Names of response codes, which depend on the command.

use fastlinq_pac::mfw::{DriverCommand, FirmwareResponse};

/// Name of a response code as an answer to `command`; `"?"` for a value that no source documents.
///
/// The same value means different things after different commands: 0x0001 is success of the NVM family and
/// "no image found" of the dump family.
///
/// # Examples
///
/// ```
/// use fastlinq_hal::mfw::response_name;
/// use fastlinq_pac::mfw::{DriverCommand, FirmwareResponse};
///
/// assert_eq!(response_name(DriverCommand::NVM_READ_NVRAM, FirmwareResponse(1)), "NVM_OK");
/// assert_eq!(response_name(DriverCommand::LOAD_REQ, FirmwareResponse(0x1010)), "DRV_LOAD_ENGINE");
/// assert_eq!(response_name(DriverCommand::BIST_TEST, FirmwareResponse(0)), "UNSUPPORTED");
/// ```
#[must_use]
pub fn response_name(command: DriverCommand, code: FirmwareResponse) -> &'static str {
    match code {
        FirmwareResponse::UNSUPPORTED => return "UNSUPPORTED",
        FirmwareResponse::OK => return "OK",
        _ => {}
    }
    let family = family(command);
    let mut names = FirmwareResponse::NAMES
        .iter()
        .filter(|(value, _)| *value == code.0)
        .map(|(_, name)| *name);
    if let Some(name) = names.clone().find(|name| name.starts_with(family)) {
        return name;
    }
    if code == FirmwareResponse::ERROR {
        return "ERROR";
    }
    match (names.next(), names.next()) {
        (Some(only), None) => only,
        _ => "?",
    }
}

/// What the names of a command's responses begin with.
fn family(command: DriverCommand) -> &'static str {
    match command {
        DriverCommand::NVM_PUT_FILE_BEGIN
        | DriverCommand::NVM_PUT_FILE_DATA
        | DriverCommand::NVM_GET_FILE_ATT
        | DriverCommand::NVM_READ_NVRAM
        | DriverCommand::NVM_WRITE_NVRAM
        | DriverCommand::NVM_DEL_FILE => "NVM_",
        DriverCommand::TRANSCEIVER_READ | DriverCommand::TRANSCEIVER_WRITE => "TRANSCEIVER_",
        DriverCommand::GPIO_READ | DriverCommand::GPIO_WRITE | DriverCommand::GPIO_INFO => "GPIO_",
        DriverCommand::BIST_TEST => "BIST_",
        DriverCommand::INIT_HW => "INIT_HW_",
        DriverCommand::MDUMP_CMD => "MDUMP_",
        _ => "DRV_",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_would_mislead_is_not_given() {
        // 0x0002 means something in five families, none of them that of LOAD_REQ.
        assert_eq!(
            response_name(DriverCommand::LOAD_REQ, FirmwareResponse(2)),
            "?"
        );
        assert_eq!(
            response_name(DriverCommand::TRANSCEIVER_READ, FirmwareResponse(2)),
            "TRANSCEIVER_NOT_PRESENT"
        );
        assert_eq!(
            response_name(DriverCommand::BIST_TEST, FirmwareResponse(0x17)),
            "ERROR"
        );
        assert_eq!(
            response_name(DriverCommand::LOAD_REQ, FirmwareResponse(0x7777)),
            "?"
        );
    }
}
