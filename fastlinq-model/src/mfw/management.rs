//! What a driver tells the management side about itself and its function.

use super::codes::{command, response};
use super::reply::{Reply, Request, payload_of};

/// What the firmware remembers about one function. Nothing here changes how the function works.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FunctionRecord {
    /// Driver state: 1 unknown, 2 not loaded, 3 loading, 4 loaded and disabled, 5 active.
    pub driver_state: u32,
    /// Storm firmware version that the driver reported.
    pub storm_firmware_version: u32,
    /// MTU that the driver reported.
    pub mtu: u32,
    /// Who configured the function: 1 operating system, 2 vendor tool, 3 other.
    pub current_config: u32,
    /// PCI bus number.
    pub bus_number: u32,
    /// Boot progress.
    pub boot_progress: u32,
    /// Wake-on-LAN: 1 default, 2 disabled, 3 enabled.
    pub wol: u32,
    /// Embedded switch: 0 none, 1 VEB, 2 VEPA.
    pub eswitch_mode: u32,
    /// Feature bits that the driver supports.
    pub driver_features: u32,
    /// Driver version word and name.
    pub driver_version: (u32, String),
    /// Address that the driver uses now, if it told.
    pub virtual_mac: Option<[u8; 6]>,
    /// World wide node and port names.
    pub world_wide_names: [Option<[u32; 2]>; 2],
    /// Wake-on-LAN address of the last UNLOAD_DONE.
    pub wol_mac: Option<[u8; 6]>,
    /// Wake-on-LAN parameter of the last UNLOAD_REQ.
    pub unload_wol: u32,
    /// The last statistics that the driver sent, by type (1 LAN, 2 FCoE, 3 iSCSI, 4 RDMA).
    pub statistics: [Option<[u8; 32]>; 4],
    /// The last SET_DCBX parameter.
    pub dcbx: u32,
    /// The last SET_LLDP parameter.
    pub lldp: u32,
    /// TLV types that the driver registered for.
    pub lldp_tlvs: u32,
    /// Secure mode that a tool set.
    pub secure_mode: u32,
    /// Last words of OEM commands 0x3c00 to 0x3f00.
    pub oem: [Option<u32>; 4],
    /// Number of pulses that the driver wrote.
    pub pulses: u32,
    /// Acknowledged bandwidth updates.
    pub bandwidth_acks: u32,
    /// Acknowledged S-tag updates.
    pub s_tag_acks: u32,
    /// Answered TLV requests.
    pub tlv_answers: u32,
}

impl FunctionRecord {
    /// Executes a command that only stores something, or `None` when it is not one.
    pub(crate) fn execute(&mut self, request: &Request) -> Option<Reply> {
        let param = request.param;
        let done = Reply::code(request.command);
        Some(match request.command {
            command::UPDATE_DRIVER_STATE => store(&mut self.driver_state, param & 0xf, done),
            command::UPDATE_STORM_FIRMWARE => store(&mut self.storm_firmware_version, param, done),
            command::UPDATE_MTU => store(&mut self.mtu, param, done),
            command::UPDATE_CURRENT_CONFIG => store(&mut self.current_config, param & 0xf, done),
            command::UPDATE_BUS_NUMBER => store(&mut self.bus_number, param & 0xff, done),
            command::UPDATE_BOOT_PROGRESS => store(&mut self.boot_progress, param & 0xff, done),
            command::UPDATE_WOL => store(&mut self.wol, param & 3, done),
            command::UPDATE_ESWITCH_MODE => store(&mut self.eswitch_mode, param & 3, done),
            command::SET_DCBX => store(&mut self.dcbx, param, done),
            command::REGISTER_LLDP_TLVS => store(&mut self.lldp_tlvs, param, done),
            command::FEATURE_SUPPORT => store(&mut self.driver_features, param, Reply::ok()),
            command::GET_CURRENT_CONFIG => done.with_param(self.current_config),
            command::GET_OEM_UPDATES => done,
            command::SET_LLDP if param >> 1 & 3 == 3 => {
                Reply::code(response::LLDP_UNSUPPORTED_AGENT)
            }
            command::SET_LLDP => store(&mut self.lldp, param, done),
            command::BANDWIDTH_UPDATE_ACK => count(&mut self.bandwidth_acks, done),
            command::S_TAG_UPDATE_ACK => count(&mut self.s_tag_acks, done),
            command::GET_TLV_DONE => count(&mut self.tlv_answers, Reply::ok()),
            command::SET_SECURE_MODE if param > 2 => Reply::code(response::SECURE_MODE_ERROR),
            command::SET_SECURE_MODE => store(
                &mut self.secure_mode,
                param,
                Reply::code(response::SECURE_MODE_OK),
            ),
            command::ENCRYPT_PASSWORD => Reply::code(response::SECURE_MODE_OK),
            command::SET_VMAC => self.set_vmac(request),
            command::GET_VMAC => self.get_vmac(param),
            command::GET_STATS => self.set_statistics(request),
            command::OEM_UPDATE_FCOE_CVID
            | command::OEM_UPDATE_FCOE_FABRIC_NAME
            | command::OEM_UPDATE_BOOT_CONFIG
            | command::OEM_RESET_TO_DEFAULT => {
                let index = usize::from((request.command - command::OEM_UPDATE_FCOE_CVID) >> 8);
                if let Some(slot) = self.oem.get_mut(index) {
                    *slot = Some(param);
                }
                done
            }
            _ => return None,
        })
    }

    fn set_vmac(&mut self, request: &Request) -> Reply {
        match request.param >> 4 & 3 {
            1 => {
                let (high, low) = (request.word(0).to_be_bytes(), request.word(1).to_be_bytes());
                self.virtual_mac = Some([high[0], high[1], high[2], high[3], low[0], low[1]]);
            }
            kind @ (2 | 3) => {
                self.world_wide_names[kind as usize - 2] = Some([request.word(0), request.word(1)])
            }
            _ => return Reply::code(response::VMAC_FAIL),
        }
        Reply::code(response::VMAC_OK)
    }

    fn get_vmac(&self, param: u32) -> Reply {
        let words = match param >> 4 & 3 {
            1 => self.virtual_mac.map(|mac| {
                [
                    u32::from_be_bytes([mac[0], mac[1], mac[2], mac[3]]),
                    u32::from_be_bytes([mac[4], mac[5], 0, 0]),
                ]
            }),
            kind @ (2 | 3) => self.world_wide_names[kind as usize - 2],
            _ => None,
        };
        match words {
            Some(words) => Reply::code(response::VMAC_OK).with_payload(payload_of(&words)),
            None => Reply::code(response::VMAC_FAIL),
        }
    }

    fn set_statistics(&mut self, request: &Request) -> Reply {
        match (request.param as usize)
            .checked_sub(1)
            .and_then(|index| self.statistics.get_mut(index))
        {
            Some(slot) => {
                *slot = Some(request.payload);
                Reply::ok()
            }
            None => Reply::code(response::ERROR),
        }
    }

    /// SET_VERSION: a version word and a name that is swapped inside each DW.
    pub(crate) fn set_version(&mut self, request: &Request) {
        let name: Vec<u8> = (1..4)
            .flat_map(|index| request.word(index).to_be_bytes())
            .collect();
        let name = String::from_utf8_lossy(&name)
            .trim_end_matches('\0')
            .to_owned();
        self.driver_version = (request.word(0), name);
    }

    /// UNLOAD_DONE: the address to wake up on, if there is one.
    pub(crate) fn set_wol_mac(&mut self, request: &Request) {
        let (high, low) = (request.word(0).to_be_bytes(), request.word(1).to_be_bytes());
        let mac = [high[2], high[3], low[0], low[1], low[2], low[3]];
        self.wol_mac = (mac != [0; 6]).then_some(mac);
    }
}

fn store(slot: &mut u32, value: u32, reply: Reply) -> Reply {
    *slot = value;
    reply
}

fn count(slot: &mut u32, reply: Reply) -> Reply {
    *slot = slot.wrapping_add(1);
    reply
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(command: u16, param: u32, words: &[u32]) -> Request {
        Request {
            command,
            sequence: 1,
            param,
            payload: payload_of(words),
        }
    }

    #[test]
    fn reports_are_stored_and_acknowledged_with_their_own_code() {
        let mut record = FunctionRecord::default();
        for (code, param) in [
            (command::UPDATE_DRIVER_STATE, 5),
            (command::UPDATE_STORM_FIRMWARE, 0x083b_0100),
            (command::UPDATE_MTU, 9000),
            (command::UPDATE_CURRENT_CONFIG, 1),
            (command::UPDATE_BUS_NUMBER, 3),
            (command::UPDATE_BOOT_PROGRESS, 0x40),
            (command::UPDATE_WOL, 2),
            (command::UPDATE_ESWITCH_MODE, 1),
            (command::SET_DCBX, 8),
            (command::GET_OEM_UPDATES, 1),
            (command::BANDWIDTH_UPDATE_ACK, 0),
            (command::S_TAG_UPDATE_ACK, 0),
            (command::SET_LLDP, 1),
            (command::REGISTER_LLDP_TLVS, 0x11),
            (command::OEM_UPDATE_BOOT_CONFIG, 7),
        ] {
            assert_eq!(
                record.execute(&request(code, param, &[])).unwrap().response,
                code
            );
        }
        assert_eq!(
            (
                record.driver_state,
                record.storm_firmware_version,
                record.mtu
            ),
            (5, 0x083b_0100, 9000)
        );
        assert_eq!(
            (record.bandwidth_acks, record.s_tag_acks, record.oem[2]),
            (1, 1, Some(7))
        );
        assert_eq!(
            record
                .execute(&request(command::GET_CURRENT_CONFIG, 0, &[]))
                .unwrap()
                .param,
            1
        );
        assert_eq!(
            record
                .execute(&request(command::SET_LLDP, 6, &[]))
                .unwrap()
                .response,
            0x2401
        );
        assert_eq!(
            record
                .execute(&request(command::FEATURE_SUPPORT, 0x10006, &[]))
                .unwrap(),
            Reply::ok()
        );
        assert_eq!(record.driver_features, 0x10006);
        assert_eq!(
            record.execute(&request(command::LOAD_REQUEST, 0, &[])),
            None
        );
    }

    #[test]
    fn addresses_come_in_their_two_forms() {
        let mut record = FunctionRecord::default();
        let mac = [2, 3, 4, 5, 6, 7];
        assert_eq!(
            record
                .execute(&request(command::GET_VMAC, 0x10, &[]))
                .unwrap()
                .response,
            response::VMAC_FAIL
        );
        record.execute(&request(
            command::SET_VMAC,
            0x10,
            &[0x0203_0405, 0x0607_0000],
        ));
        assert_eq!(record.virtual_mac, Some(mac));
        let back = record
            .execute(&request(command::GET_VMAC, 0x10, &[]))
            .unwrap();
        assert_eq!(back.payload, Some(payload_of(&[0x0203_0405, 0x0607_0000])));
        assert_eq!(
            record
                .execute(&request(command::SET_VMAC, 0, &[]))
                .unwrap()
                .response,
            response::VMAC_FAIL
        );
        record.set_wol_mac(&request(command::UNLOAD_DONE, 0, &[0x0203, 0x0405_0607]));
        assert_eq!(record.wol_mac, Some(mac));
        record.set_wol_mac(&request(command::UNLOAD_DONE, 0, &[]));
        assert_eq!(record.wol_mac, None);
    }

    #[test]
    fn statistics_are_kept_by_type() {
        let mut record = FunctionRecord::default();
        assert_eq!(
            record
                .execute(&request(command::GET_STATS, 1, &[10, 0, 20]))
                .unwrap(),
            Reply::ok()
        );
        assert_eq!(record.statistics[0], Some(payload_of(&[10, 0, 20])));
        for kind in [0, 5, u32::MAX] {
            assert_eq!(
                record
                    .execute(&request(command::GET_STATS, kind, &[]))
                    .unwrap()
                    .response,
                response::ERROR
            );
        }
    }

    #[test]
    fn the_driver_name_is_unswapped() {
        let mut record = FunctionRecord::default();
        let words = [
            0x0809_0a00,
            u32::from_be_bytes(*b"fast"),
            u32::from_be_bytes(*b"linq"),
            0,
        ];
        record.set_version(&request(command::SET_VERSION, 0, &words));
        assert_eq!(record.driver_version, (0x0809_0a00, "fastlinq".to_owned()));
    }

    #[test]
    fn secure_mode_knows_three_values() {
        let mut record = FunctionRecord::default();
        assert_eq!(
            record
                .execute(&request(command::SET_SECURE_MODE, 2, &[]))
                .unwrap()
                .response,
            0x0014
        );
        assert_eq!(
            record
                .execute(&request(command::SET_SECURE_MODE, 3, &[]))
                .unwrap()
                .response,
            0x0013
        );
    }
}
