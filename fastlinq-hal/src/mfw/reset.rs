//! Function-level reset by the management firmware.

use fastlinq_pac::mfw::{DriverCommand, FirmwareResponse};

use super::{Answer, MailboxError};
use crate::core_state::Core;
use crate::host::Host;

/// Asks the management firmware for a function-level reset (INITIATE_PF_FLR), which removes what an earlier
/// driver left on the function.
///
/// Belongs before LOAD_REQ. Known drivers go on whatever the answer. The windows are pointed anew afterwards.
///
/// # Errors
///
/// [`MailboxError`].
pub fn reset_function<H: Host>(core: &mut Core<H>) -> Result<Answer<()>, MailboxError> {
    let reply = core.command(DriverCommand::INITIATE_PF_FLR, 0, &[]);
    core.windows.forget();
    Ok(reply?.judge(&[FirmwareResponse::FLR_ACK, FirmwareResponse::OK], |_| ()))
}
