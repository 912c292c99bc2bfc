//! The register DMA engine: 32 channels that move dwords between host memory and the chip.

use super::address::*;
use super::{Context, Engine, Requester};
use crate::fabric::{DmaError, Function};
use crate::observer::{Event, Path};
use crate::violation::{DmaCause, ViolationKind};

/// Channels of an engine.
pub(crate) const CHANNELS: u32 = 32;
/// Bytes of a channel's command.
const COMMAND_BYTES: u32 = 56;

const SOURCE_GRC: u32 = 1;
const COMPLETION_GRC: u32 = 1 << 3;
const RESET_SOURCE: u32 = 1 << 5;
const RESET_DESTINATION: u32 = 1 << 6;
const COMPLETION_DESTINATION_FUNCTION: u32 = 1 << 7;
const COMPLETION_WORD: u32 = 1 << 8;
const SOURCE_VF_VALID: u32 = 1 << 28;
const DESTINATION_VF_VALID: u32 = 1 << 29;

/// Where a channel would go on if the next command did not reset its addresses.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Channel {
    source: Option<u64>,
    destination: Option<u64>,
}

/// A fetched command.
struct Command {
    opcode: u32,
    source: u64,
    destination: u64,
    dwords: u32,
    source_function: Function,
    destination_function: Function,
    port: u8,
    completion: u64,
    completion_value: u32,
}

impl Engine {
    fn dmae_command(&self, channel: u32) -> Command {
        let word = |index: u32| {
            self.grc
                .common(DMAE_COMMAND + channel * COMMAND_BYTES + 4 * index)
        };
        let pair = |low: u32| u64::from(word(low)) | u64::from(word(low + 1)) << 32;
        let opcode = word(0);
        let length = word(5);
        let function = |pf: u32, vf_valid: u32, vf: u32| Function {
            pf: (pf & 0xf) as u8,
            vf: (opcode & vf_valid != 0).then_some(vf as u8),
        };
        let state = self.dmae[channel as usize];
        let source = match state.source.filter(|_| opcode & RESET_SOURCE == 0) {
            Some(next) => next,
            None => pair(1),
        };
        let destination = match state
            .destination
            .filter(|_| opcode & RESET_DESTINATION == 0)
        {
            Some(next) => next,
            None => pair(3),
        };
        Command {
            opcode,
            source,
            destination,
            dwords: length & 0xffff,
            source_function: function(opcode >> 20, SOURCE_VF_VALID, length >> 16 & 0xff),
            destination_function: function(opcode >> 24, DESTINATION_VF_VALID, length >> 24),
            port: (opcode >> 18 & 3) as u8,
            completion: pair(6),
            completion_value: word(8),
        }
    }

    /// Carries out the command of a channel.
    pub(crate) fn dmae_go(&mut self, cx: &mut Context<'_>, channel: u32) {
        let command = self.dmae_command(channel);
        cx.outside.counters.dmae_commands += 1;
        let cause = DmaCause::register(
            "DMAE command",
            DMAE_COMMAND + channel * COMMAND_BYTES,
            u64::from(command.opcode),
        );
        let result = self.dmae_move(cx, channel as u8, &command, cause);
        let base = DMAE_COMMAND + channel * COMMAND_BYTES;
        let error = u32::from(result.is_err()) << 16;
        let (crc32, crc32c, sums) = match &result {
            Ok(data) => (crc(data, &CRC32), crc(data, &CRC32C), checksums(data)),
            Err(_) => (0, 0, 0),
        };
        for (index, value) in [(9, crc32), (10, crc32c), (11, 0), (12, error), (13, sums)] {
            self.grc.set_common(base + 4 * index, value);
        }
        // Error handling 2 means no completion after an error.
        if result.is_err() && command.opcode >> 16 & 3 == 2 || command.opcode & COMPLETION_WORD == 0
        {
            return;
        }
        let function = if command.opcode & COMPLETION_DESTINATION_FUNCTION == 0 {
            command.source_function
        } else {
            command.destination_function
        };
        if command.opcode & COMPLETION_GRC == 0 {
            let value = command.completion_value.to_le_bytes();
            let cause =
                DmaCause::register("DMAE completion address", base + 24, command.completion);
            let _ = self.dma_write(cx.outside, function, cause, command.completion, &value);
        } else {
            let requester = Requester {
                function,
                port: command.port,
                dmae: true,
            };
            self.write32(
                cx,
                requester,
                (command.completion as u32) << 2,
                command.completion_value,
            );
        }
    }

    fn dmae_move(
        &mut self,
        cx: &mut Context<'_>,
        channel: u8,
        command: &Command,
        cause: DmaCause,
    ) -> Result<Vec<u8>, DmaError> {
        let refuse = |cx: &mut Context<'_>, why: &'static str| {
            cx.outside.violation(
                Some(command.source_function),
                ViolationKind::Dmae(why),
                cause,
            );
            Err(DmaError::Blocked)
        };
        if command.dwords == 0 {
            return refuse(cx, "its length is zero");
        }
        let bytes = 4 * command.dwords as usize;
        let mut data = vec![0; bytes];
        let from_grc = command.opcode & SOURCE_GRC != 0;
        if from_grc {
            let requester = Requester {
                function: command.source_function,
                port: command.port,
                dmae: true,
            };
            let first = (command.source as u32) << 2;
            for (index, chunk) in data.chunks_exact_mut(4).enumerate() {
                let address = first.wrapping_add(4 * index as u32);
                let value = self.read32(cx, requester, address);
                let function = requester.function;
                cx.outside.observe(|| Event::Register {
                    function,
                    path: Path::Dmae(channel),
                    address,
                    value,
                    write: false,
                });
                chunk.copy_from_slice(&value.to_le_bytes());
            }
        } else {
            self.dma_read(
                cx.outside,
                command.source_function,
                cause,
                command.source,
                &mut data,
            )?;
        }
        match command.opcode >> 1 & 3 {
            1 => self.dma_write(
                cx.outside,
                command.destination_function,
                cause,
                command.destination,
                &data,
            )?,
            2 => {
                let requester = Requester {
                    function: command.destination_function,
                    port: command.port,
                    dmae: true,
                };
                let first = (command.destination as u32) << 2;
                for (index, chunk) in data.chunks_exact(4).enumerate() {
                    let address = first.wrapping_add(4 * index as u32);
                    let value = u32::from_le_bytes([chunk[0], chunk[1], chunk[2], chunk[3]]);
                    let function = requester.function;
                    cx.outside.observe(|| Event::Register {
                        function,
                        path: Path::Dmae(channel),
                        address,
                        value,
                        write: true,
                    });
                    self.write32(cx, requester, address, value);
                }
            }
            _ => {}
        }
        let step = |start: u64, grc: bool| {
            start
                + if grc {
                    u64::from(command.dwords)
                } else {
                    bytes as u64
                }
        };
        let to_grc = command.opcode >> 1 & 3 == 2;
        self.dmae[usize::from(channel)] = Channel {
            source: Some(step(command.source, from_grc)),
            destination: Some(step(command.destination, to_grc)),
        };
        Ok(data)
    }
}

/// Bytewise steps of a reflected 32-bit CRC.
const fn crc_table(polynomial: u32) -> [u32; 256] {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut value = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            value = (value >> 1) ^ (polynomial & (value & 1).wrapping_neg());
            bit += 1;
        }
        table[byte] = value;
        byte += 1;
    }
    table
}

static CRC32: [u32; 256] = crc_table(0xedb8_8320);
static CRC32C: [u32; 256] = crc_table(0x82f6_3b78);

fn crc(data: &[u8], table: &[u32; 256]) -> u32 {
    !data.iter().fold(!0, |value, &byte| {
        (value >> 8) ^ table[usize::from(value as u8 ^ byte)]
    })
}

/// The 16-bit and 8-bit checksums of the last result word.
fn checksums(data: &[u8]) -> u32 {
    let sum16 = data.chunks_exact(2).fold(0u16, |sum, pair| {
        sum.wrapping_add(u16::from_le_bytes([pair[0], pair[1]]))
    });
    let sum8 = data.iter().fold(0u8, |sum, byte| sum.wrapping_add(*byte));
    u32::from(sum16) | u32::from(sum8) << 16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crcs_have_their_check_values() {
        assert_eq!(crc(b"123456789", &CRC32), 0xcbf4_3926);
        assert_eq!(crc(b"123456789", &CRC32C), 0xe306_9283);
        assert_eq!(checksums(&[1, 0, 0xff, 0xff]), 0xff_0000);
    }
}
