//! The firmware's own numbers against those of `fastlinq-pac`, which were collected independently.

use crate::mfw::codes::{Event, command, response};
use crate::mfw::shared_memory as field;
use crate::mfw::{Generation, PortCounter, Resource, Section};
use fastlinq_pac::mfw::{
    DriverCommand, EventId, FirmwareResponse, ResourceId, eth_stats, public_drv_mb, public_func,
    public_global, public_path, public_port,
};

#[test]
fn commands_agree() {
    for (own, other) in [
        (
            command::NVM_PUT_FILE_BEGIN,
            DriverCommand::NVM_PUT_FILE_BEGIN,
        ),
        (command::NVM_PUT_FILE_DATA, DriverCommand::NVM_PUT_FILE_DATA),
        (
            command::NVM_GET_FILE_ATTRIBUTES,
            DriverCommand::NVM_GET_FILE_ATT,
        ),
        (command::NVM_READ, DriverCommand::NVM_READ_NVRAM),
        (command::NVM_WRITE, DriverCommand::NVM_WRITE_NVRAM),
        (command::NVM_DELETE_FILE, DriverCommand::NVM_DEL_FILE),
        (command::MCP_RESET, DriverCommand::MCP_RESET),
        (command::SET_SECURE_MODE, DriverCommand::SET_SECURE_MODE),
        (command::PHY_RAW_READ, DriverCommand::PHY_RAW_READ),
        (command::PHY_RAW_WRITE, DriverCommand::PHY_RAW_WRITE),
        (command::PHY_CORE_READ, DriverCommand::PHY_CORE_READ),
        (command::PHY_CORE_WRITE, DriverCommand::PHY_CORE_WRITE),
        (command::SET_VERSION, DriverCommand::SET_VERSION),
        (command::MCP_HALT, DriverCommand::MCP_HALT),
        (command::SET_VMAC, DriverCommand::SET_VMAC),
        (command::GET_VMAC, DriverCommand::GET_VMAC),
        (command::GET_STATS, DriverCommand::GET_STATS),
        (command::TRANSCEIVER_READ, DriverCommand::TRANSCEIVER_READ),
        (command::SET_BANDWIDTH, DriverCommand::SET_BW),
        (command::MASK_PARITIES, DriverCommand::MASK_PARITIES),
        (command::GPIO_READ, DriverCommand::GPIO_READ),
        (command::GPIO_WRITE, DriverCommand::GPIO_WRITE),
        (command::GPIO_INFO, DriverCommand::GPIO_INFO),
        (command::BIST_TEST, DriverCommand::BIST_TEST),
        (command::GET_TEMPERATURE, DriverCommand::GET_TEMPERATURE),
        (command::SET_LED_MODE, DriverCommand::SET_LED_MODE),
        (command::EMPTY, DriverCommand::EMPTY_MB),
        (command::RESOURCE_LOCK, DriverCommand::RESOURCE_CMD),
        (command::GET_MBA_VERSION, DriverCommand::GET_MBA_VERSION),
        (command::MDUMP, DriverCommand::MDUMP_CMD),
        (
            command::GET_PF_RDMA_PROTOCOL,
            DriverCommand::GET_PF_RDMA_PROTOCOL,
        ),
        (command::OS_WOL, DriverCommand::OS_WOL),
        (command::GET_TLV_DONE, DriverCommand::GET_TLV_DONE),
        (command::FEATURE_SUPPORT, DriverCommand::FEATURE_SUPPORT),
        (
            command::GET_MFW_FEATURE_SUPPORT,
            DriverCommand::GET_MFW_FEATURE_SUPPORT,
        ),
        (command::GET_ENGINE_CONFIG, DriverCommand::GET_ENGINE_CONFIG),
        (
            command::GET_NVM_CFG_OPTION,
            DriverCommand::GET_NVM_CFG_OPTION,
        ),
        (
            command::SET_NVM_CFG_OPTION,
            DriverCommand::SET_NVM_CFG_OPTION,
        ),
        (command::INITIATE_PF_FLR, DriverCommand::INITIATE_PF_FLR),
        (command::INITIATE_VF_FLR, DriverCommand::INITIATE_VF_FLR),
        (command::LOAD_REQUEST, DriverCommand::LOAD_REQ),
        (command::LOAD_DONE, DriverCommand::LOAD_DONE),
        (command::CANCEL_LOAD_REQUEST, DriverCommand::CANCEL_LOAD_REQ),
        (command::UNLOAD_REQUEST, DriverCommand::UNLOAD_REQ),
        (command::UNLOAD_DONE, DriverCommand::UNLOAD_DONE),
        (command::INIT_PHY, DriverCommand::INIT_PHY),
        (command::LINK_RESET, DriverCommand::LINK_RESET),
        (command::SET_DCBX, DriverCommand::SET_DCBX),
        (command::NIG_DRAIN, DriverCommand::NIG_DRAIN),
        (
            command::GET_RESOURCE_ALLOC,
            DriverCommand::GET_RESOURCE_ALLOC,
        ),
        (
            command::SET_RESOURCE_VALUE,
            DriverCommand::SET_RESOURCE_VALUE,
        ),
        (command::GET_CURRENT_CONFIG, DriverCommand::OV_GET_CURR_CFG),
        (command::GET_PPFID_BITMAP, DriverCommand::GET_PPFID_BITMAP),
        (command::VF_DISABLED_DONE, DriverCommand::VF_DISABLED_DONE),
        (command::CONFIGURE_VF_VECTORS, DriverCommand::CFG_VF_MSIX),
        (
            command::CONFIGURE_PF_VFS_VECTORS,
            DriverCommand::CFG_PF_VFS_MSIX,
        ),
        (command::DEBUG_DATA_SEND, DriverCommand::DEBUG_DATA_SEND),
        (
            command::GET_MANAGEMENT_STATUS,
            DriverCommand::GET_MANAGEMENT_STATUS,
        ),
    ] {
        assert_eq!(own, other.value(), "{other:?}");
    }
}

#[test]
fn responses_agree() {
    for (own, other) in [
        (response::UNSUPPORTED, FirmwareResponse::UNSUPPORTED),
        (response::OK, FirmwareResponse::OK),
        (response::ERROR, FirmwareResponse::ERROR),
        (response::NVM_OK, FirmwareResponse::NVM_OK),
        (
            response::NVM_FILE_NOT_FOUND,
            FirmwareResponse::NVM_FILE_NOT_FOUND,
        ),
        (
            response::NVM_UNALIGNED,
            FirmwareResponse::NVM_FAILED_UNALIGNED,
        ),
        (
            response::NVM_FILE_READ_ONLY,
            FirmwareResponse::NVM_FILE_READ_ONLY,
        ),
        (
            response::PUT_FILE_FINISHED,
            FirmwareResponse::NVM_PUT_FILE_FINISH_OK,
        ),
        (
            response::BIST_INVALID_TEST,
            FirmwareResponse::BIST_TEST_INVALID,
        ),
        (
            response::TRANSCEIVER_NOT_PRESENT,
            FirmwareResponse::TRANSCEIVER_NOT_PRESENT,
        ),
        (
            response::OPTION_BUSY,
            FirmwareResponse::ERR_RESOURCE_ALREADY_ALLOCATED,
        ),
        (
            response::OPTION_NOT_ALLOCATED,
            FirmwareResponse::ERR_RESOURCE_NOT_ALLOCATED,
        ),
        (
            response::OPTION_NON_USER,
            FirmwareResponse::ERR_NON_USER_OPTION,
        ),
        (
            response::OPTION_UNKNOWN,
            FirmwareResponse::ERR_UNKNOWN_OPTION,
        ),
        (
            response::OS_WOL_SUPPORTED,
            FirmwareResponse::OS_WOL_SUPPORTED,
        ),
        (response::FLR_ACK, FirmwareResponse::FLR_ACK),
        (response::VMAC_OK, FirmwareResponse::SET_VMAC_SUCCESS),
        (response::VMAC_FAIL, FirmwareResponse::SET_VMAC_FAIL),
        (response::LOAD_ENGINE, FirmwareResponse::DRV_LOAD_ENGINE),
        (response::LOAD_PORT, FirmwareResponse::DRV_LOAD_PORT),
        (response::LOAD_FUNCTION, FirmwareResponse::DRV_LOAD_FUNCTION),
        (
            response::LOAD_REFUSED_HSI_1,
            FirmwareResponse::DRV_LOAD_REFUSED_HSI_1,
        ),
        (
            response::LOAD_REFUSED_HSI,
            FirmwareResponse::DRV_LOAD_REFUSED_HSI,
        ),
        (
            response::LOAD_REQUIRES_FORCE,
            FirmwareResponse::DRV_LOAD_REFUSED_REQUIRES_FORCE,
        ),
        (
            response::LOAD_REJECTED,
            FirmwareResponse::DRV_LOAD_REFUSED_REJECT,
        ),
        (response::LOAD_DONE, FirmwareResponse::DRV_LOAD_DONE),
        (response::UNLOAD_ENGINE, FirmwareResponse::DRV_UNLOAD_ENGINE),
        (response::UNLOAD_PORT, FirmwareResponse::DRV_UNLOAD_PORT),
        (
            response::UNLOAD_FUNCTION,
            FirmwareResponse::DRV_UNLOAD_FUNCTION,
        ),
        (response::UNLOAD_DONE, FirmwareResponse::DRV_UNLOAD_DONE),
        (response::INIT_PHY_DONE, FirmwareResponse::INIT_PHY_DONE),
        (
            response::INIT_PHY_INVALID,
            FirmwareResponse::INIT_PHY_ERR_INVALID_ARGS,
        ),
        (response::LINK_RESET_DONE, FirmwareResponse::LINK_RESET_DONE),
        (response::RESOURCE_OK, FirmwareResponse::RESOURCE_ALLOC_OK),
        (
            response::RESOURCE_UNKNOWN,
            FirmwareResponse::RESOURCE_ALLOC_UNKNOWN,
        ),
        (
            response::RESOURCE_DEPRECATED,
            FirmwareResponse::RESOURCE_ALLOC_DEPRECATED,
        ),
        (
            response::RESOURCE_ERROR,
            FirmwareResponse::RESOURCE_ALLOC_GEN_ERR,
        ),
        (
            response::VF_DISABLED_DONE,
            FirmwareResponse::VF_DISABLED_DONE,
        ),
        (
            response::VF_VECTORS_DONE,
            FirmwareResponse::DRV_CFG_VF_MSIX_DONE,
        ),
        (response::VF_FLR_OK, FirmwareResponse::INITIATE_VF_FLR_OK),
        (
            response::PF_VFS_VECTORS_DONE,
            FirmwareResponse::DRV_CFG_PF_VFS_MSIX_DONE,
        ),
        (
            response::DEBUG_NOT_ENABLED,
            FirmwareResponse::DEBUG_NOT_ENABLED,
        ),
    ] {
        assert_eq!(own, other.value(), "{other:?}");
    }
}

#[test]
fn events_and_resources_agree() {
    for (own, other) in [
        (Event::LinkChange, EventId::LINK_CHANGE),
        (Event::VfDisabled, EventId::VF_DISABLED),
        (Event::ErrorRecovery, EventId::ERROR_RECOVERY),
        (Event::BandwidthUpdate, EventId::BW_UPDATE),
        (Event::STagUpdate, EventId::S_TAG_UPDATE),
        (Event::GetLanStatistics, EventId::GET_LAN_STATS),
        (
            Event::TransceiverStateChange,
            EventId::TRANSCEIVER_STATE_CHANGE,
        ),
        (Event::GetTlvRequest, EventId::GET_TLV_REQ),
        (Event::DcbxAdminApplied, EventId::DCBX_ADMIN_CFG_APPLIED),
    ] {
        assert_eq!(own as u8, other.value(), "{other:?}");
    }
    for (own, other) in [
        (Resource::StatusBlocks, ResourceId::NUM_SB_E),
        (Resource::L2Queues, ResourceId::NUM_L2_QUEUE_E),
        (Resource::Vports, ResourceId::NUM_VPORT_E),
        (Resource::TxPqs, ResourceId::NUM_PQ_E),
        (Resource::IltLines, ResourceId::ILT_E),
        (Resource::RssEngines, ResourceId::NUM_RSS_ENGINES_E),
        (Resource::Ll2Contexts, ResourceId::LL2_CQS_E),
    ] {
        assert_eq!(own as u32, other.value(), "{other:?}");
    }
}

#[test]
fn offsets_agree() {
    for (own, other) in [
        (field::DRIVER_HEADER, public_drv_mb::offset::DRV_MB_HEADER),
        (field::DRIVER_PARAM, public_drv_mb::offset::DRV_MB_PARAM),
        (field::FIRMWARE_HEADER, public_drv_mb::offset::FW_MB_HEADER),
        (field::FIRMWARE_PARAM, public_drv_mb::offset::FW_MB_PARAM),
        (field::DRIVER_PULSE, public_drv_mb::offset::DRV_PULSE_MB),
        (field::UNION, public_drv_mb::offset::UNION_DATA),
        (field::global::MAX_PORTS, public_global::offset::MAX_PORTS),
        (field::global::VERSION, public_global::offset::MFW_VER),
        (
            field::global::MDUMP_REASON,
            public_global::offset::MDUMP_REASON,
        ),
        (field::global::DATA_POINTER, public_global::offset::DATA_PTR),
        (
            field::path::VF_DISABLED,
            public_path::offset::MCP_VF_DISABLED,
        ),
        (field::path::PROCESS_KILL, public_path::offset::PROCESS_KILL),
        (field::port::LINK_STATUS, public_port::offset::LINK_STATUS),
        (field::port::MEDIA_TYPE, public_port::offset::MEDIA_TYPE),
        (
            field::port::LINK_CHANGE_COUNT,
            public_port::offset::LINK_CHANGE_COUNT,
        ),
        (
            field::port::TRANSCEIVER_DATA,
            public_port::offset::TRANSCEIVER_DATA,
        ),
        (field::port::EEE_STATUS, public_port::offset::EEE_STATUS),
        (
            field::port::MODULE_TEMPERATURE,
            public_port::offset::PHY_MODULE_TEMPERATURE,
        ),
        (field::function::MTU, public_func::offset::MTU_SIZE),
        (field::function::CONFIG, public_func::offset::CONFIG),
        (field::function::STATUS, public_func::offset::STATUS),
        (field::function::MAC_UPPER, public_func::offset::MAC_UPPER),
        (field::function::OUTER_VLAN, public_func::offset::OVLAN_STAG),
        (
            field::function::VF_DISABLED_ACK,
            public_func::offset::DRV_ACK_VF_DISABLED,
        ),
        (field::function::DRIVER_ID, public_func::offset::DRV_ID),
        (
            field::function::DRIVER_VERSION,
            public_func::offset::DRV_VER,
        ),
        (PortCounter::Rx64 as u32 - 0x80, eth_stats::offset::R64),
        (
            PortCounter::RxFcsErrors as u32 - 0x80,
            eth_stats::offset::RFCS,
        ),
        (
            PortCounter::RxFragments as u32 - 0x80,
            eth_stats::offset::RFRG,
        ),
        (PortCounter::Tx64 as u32 - 0x80, eth_stats::offset::T64),
        (PortCounter::TxPause as u32 - 0x80, eth_stats::offset::TXPF),
        (PortCounter::RxBytes as u32 - 0x80, eth_stats::offset::RBYTE),
        (PortCounter::RxOk as u32 - 0x80, eth_stats::offset::RXPOK),
        (
            PortCounter::TxUnicast as u32 - 0x80,
            eth_stats::offset::TXUCA,
        ),
        (
            PortCounter::TxControlFrames as u32 - 0x80,
            eth_stats::offset::TXCF,
        ),
    ] {
        assert_eq!(own, other);
    }
}

#[test]
fn sizes_agree() {
    use fastlinq_pac::mfw;
    for (section, bytes) in [
        (Section::DriverMailbox, size_of::<mfw::PublicDrvMb>()),
        (Section::EventMailbox, size_of::<mfw::PublicMfwMb>()),
        (Section::Global, size_of::<mfw::PublicGlobal>()),
        (Section::Path, size_of::<mfw::PublicPath>()),
        (Section::Port, size_of::<mfw::PublicPort>()),
        (Section::Function, size_of::<mfw::PublicFunc>()),
    ] {
        assert_eq!(
            Generation::Modern.element_bytes(section) as usize,
            bytes,
            "{section:?}"
        );
    }
}
