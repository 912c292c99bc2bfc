//! Command, response and event codes as this management firmware understands them.
//!
//! A code is the upper half of a mailbox header. The same response value means different things for different
//! command families, so the constants are grouped by the family that answers with them.

/// Commands that a driver writes into the upper half of its mailbox header.
pub mod command {
    #![allow(missing_docs)]
    pub const NVM_PUT_FILE_BEGIN: u16 = 0x0001;
    pub const NVM_PUT_FILE_DATA: u16 = 0x0002;
    pub const NVM_GET_FILE_ATTRIBUTES: u16 = 0x0003;
    pub const NVM_READ: u16 = 0x0005;
    pub const NVM_WRITE: u16 = 0x0006;
    pub const NVM_DELETE_FILE: u16 = 0x0008;
    pub const MCP_RESET: u16 = 0x0009;
    pub const SET_SECURE_MODE: u16 = 0x000a;
    pub const PHY_RAW_READ: u16 = 0x000b;
    pub const PHY_RAW_WRITE: u16 = 0x000c;
    pub const PHY_CORE_READ: u16 = 0x000d;
    pub const PHY_CORE_WRITE: u16 = 0x000e;
    pub const SET_VERSION: u16 = 0x000f;
    pub const MCP_HALT: u16 = 0x0010;
    pub const SET_VMAC: u16 = 0x0011;
    pub const GET_VMAC: u16 = 0x0012;
    pub const GET_STATS: u16 = 0x0013;
    pub const PMD_DIAG_DUMP: u16 = 0x0014;
    pub const PMD_DIAG_EYE: u16 = 0x0015;
    pub const TRANSCEIVER_READ: u16 = 0x0016;
    pub const TRANSCEIVER_WRITE: u16 = 0x0017;
    pub const OCBB_DATA: u16 = 0x0018;
    pub const SET_BANDWIDTH: u16 = 0x0019;
    pub const MASK_PARITIES: u16 = 0x001a;
    pub const INDUCE_FAILURE: u16 = 0x001b;
    pub const GPIO_READ: u16 = 0x001c;
    pub const GPIO_WRITE: u16 = 0x001d;
    pub const BIST_TEST: u16 = 0x001e;
    pub const GET_TEMPERATURE: u16 = 0x001f;
    pub const SET_LED_MODE: u16 = 0x0020;
    pub const TIMESTAMP: u16 = 0x0021;
    pub const EMPTY: u16 = 0x0022;
    pub const RESOURCE_LOCK: u16 = 0x0023;
    pub const GET_MBA_VERSION: u16 = 0x0024;
    pub const MDUMP: u16 = 0x0025;
    pub const MEMORY_ECC_EVENTS: u16 = 0x0026;
    pub const GPIO_INFO: u16 = 0x0027;
    pub const EXTERNAL_PHY_READ: u16 = 0x0028;
    pub const EXTERNAL_PHY_WRITE: u16 = 0x0029;
    pub const EXTERNAL_PHY_UPGRADE: u16 = 0x002a;
    pub const GET_PF_RDMA_PROTOCOL: u16 = 0x002b;
    pub const OS_WOL: u16 = 0x002e;
    pub const GET_TLV_DONE: u16 = 0x002f;
    pub const FEATURE_SUPPORT: u16 = 0x0030;
    pub const GET_MFW_FEATURE_SUPPORT: u16 = 0x0031;
    pub const READ_WOL_REGISTER: u16 = 0x0032;
    pub const WRITE_WOL_REGISTER: u16 = 0x0033;
    pub const GET_WOL_BUFFER: u16 = 0x0034;
    pub const ATTRIBUTE: u16 = 0x0035;
    pub const ENCRYPT_PASSWORD: u16 = 0x0036;
    pub const GET_ENGINE_CONFIG: u16 = 0x0037;
    pub const GET_NVM_CFG_OPTION: u16 = 0x003e;
    pub const SET_NVM_CFG_OPTION: u16 = 0x003f;
    pub const INITIATE_PF_FLR: u16 = 0x0201;
    pub const INITIATE_VF_FLR: u16 = 0x0202;
    pub const LOAD_REQUEST: u16 = 0x1000;
    pub const LOAD_DONE: u16 = 0x1100;
    pub const INIT_HW: u16 = 0x1200;
    pub const CANCEL_LOAD_REQUEST: u16 = 0x1300;
    pub const UNLOAD_REQUEST: u16 = 0x2000;
    pub const UNLOAD_DONE: u16 = 0x2100;
    pub const INIT_PHY: u16 = 0x2200;
    pub const LINK_RESET: u16 = 0x2300;
    pub const SET_LLDP: u16 = 0x2400;
    pub const REGISTER_LLDP_TLVS: u16 = 0x2410;
    pub const SET_DCBX: u16 = 0x2500;
    pub const UPDATE_CURRENT_CONFIG: u16 = 0x2600;
    pub const UPDATE_BUS_NUMBER: u16 = 0x2700;
    pub const UPDATE_BOOT_PROGRESS: u16 = 0x2800;
    pub const UPDATE_STORM_FIRMWARE: u16 = 0x2900;
    pub const NIG_DRAIN: u16 = 0x3000;
    pub const UPDATE_DRIVER_STATE: u16 = 0x3100;
    pub const BANDWIDTH_UPDATE_ACK: u16 = 0x3200;
    pub const UPDATE_MTU: u16 = 0x3300;
    pub const GET_RESOURCE_ALLOC: u16 = 0x3400;
    pub const SET_RESOURCE_VALUE: u16 = 0x3500;
    pub const UPDATE_WOL: u16 = 0x3800;
    pub const UPDATE_ESWITCH_MODE: u16 = 0x3900;
    pub const S_TAG_UPDATE_ACK: u16 = 0x3b00;
    pub const OEM_UPDATE_FCOE_CVID: u16 = 0x3c00;
    pub const OEM_UPDATE_FCOE_FABRIC_NAME: u16 = 0x3d00;
    pub const OEM_UPDATE_BOOT_CONFIG: u16 = 0x3e00;
    pub const OEM_RESET_TO_DEFAULT: u16 = 0x3f00;
    pub const GET_CURRENT_CONFIG: u16 = 0x4000;
    pub const GET_OEM_UPDATES: u16 = 0x4100;
    pub const GET_PPFID_BITMAP: u16 = 0x4300;
    pub const VF_DISABLED_DONE: u16 = 0xc000;
    pub const CONFIGURE_VF_VECTORS: u16 = 0xc001;
    pub const CONFIGURE_PF_VFS_VECTORS: u16 = 0xc002;
    pub const DEBUG_DATA_SEND: u16 = 0xc004;
    pub const GET_MANAGEMENT_STATUS: u16 = 0xc007;
}

/// Responses that the firmware writes into the upper half of the answer header.
pub mod response {
    #![allow(missing_docs)]
    pub const UNSUPPORTED: u16 = 0x0000;
    pub const OK: u16 = 0x0016;
    pub const ERROR: u16 = 0x0017;

    pub const NVM_OK: u16 = 0x0001;
    pub const NVM_INVALID_MODE: u16 = 0x0002;
    pub const NVM_PREVIOUS_NOT_FINISHED: u16 = 0x0003;
    pub const NVM_FILE_NOT_FOUND: u16 = 0x000c;
    pub const NVM_OPERATION_FAILED: u16 = 0x000d;
    pub const NVM_UNALIGNED: u16 = 0x000e;
    pub const NVM_BAD_OFFSET: u16 = 0x000f;
    pub const NVM_FILE_READ_ONLY: u16 = 0x0020;
    pub const PUT_FILE_FINISHED: u16 = 0x0040;

    pub const OPTION_BUSY: u16 = 0x008c;
    pub const OPTION_NOT_ALLOCATED: u16 = 0x008d;
    pub const OPTION_NON_USER: u16 = 0x008e;
    pub const OPTION_UNKNOWN: u16 = 0x008f;

    pub const BIST_INVALID_TEST: u16 = 0x000f;

    pub const TRANSCEIVER_NOT_PRESENT: u16 = 0x0002;
    pub const TRANSCEIVER_BAD_BUFFER_SIZE: u16 = 0x000f;

    pub const GPIO_INVALID_VALUE: u16 = 0x0005;
    pub const GPIO_INVALID: u16 = 0x000f;
    pub const GPIO_DIRECTION: u16 = 0x0017;
    pub const LED_MODE_INVALID: u16 = 0x0017;

    pub const PHY_OK: u16 = 0x0011;
    pub const PHY_ERROR: u16 = 0x0012;
    pub const SECURE_MODE_ERROR: u16 = 0x0013;
    pub const SECURE_MODE_OK: u16 = 0x0014;

    pub const ATTRIBUTE_INVALID_KEY: u16 = 0x0002;
    pub const ATTRIBUTE_INVALID_COMMAND: u16 = 0x0003;

    pub const MDUMP_NO_IMAGE: u16 = 0x0001;
    pub const MDUMP_INVALID_COMMAND: u16 = 0x0003;

    pub const EXTERNAL_PHY_NOT_DETECTED: u16 = 0x0073;
    pub const OS_WOL_SUPPORTED: u16 = 0x0080;
    pub const WOL_ACCESS_OK: u16 = 0x0082;
    pub const WOL_BUFFER_OK: u16 = 0x0085;
    pub const PF_VFS_VECTORS_DONE: u16 = 0x0087;
    pub const PF_VFS_VECTORS_WRONG_CHIP: u16 = 0x0088;

    pub const FLR_ACK: u16 = 0x0200;
    pub const VMAC_OK: u16 = 0x0230;
    pub const VMAC_FAIL: u16 = 0x0240;

    pub const LOAD_ENGINE: u16 = 0x1010;
    pub const LOAD_PORT: u16 = 0x1011;
    pub const LOAD_FUNCTION: u16 = 0x1012;
    pub const LOAD_REFUSED_PDA: u16 = 0x1020;
    pub const LOAD_REFUSED_HSI_1: u16 = 0x1021;
    pub const LOAD_REFUSED_DIAG: u16 = 0x1022;
    pub const LOAD_REFUSED_HSI: u16 = 0x1023;
    pub const LOAD_REQUIRES_FORCE: u16 = 0x1030;
    pub const LOAD_REJECTED: u16 = 0x1031;
    pub const LOAD_DONE: u16 = 0x1110;
    pub const UNLOAD_ENGINE: u16 = 0x2011;
    pub const UNLOAD_PORT: u16 = 0x2012;
    pub const UNLOAD_FUNCTION: u16 = 0x2013;
    pub const UNLOAD_DONE: u16 = 0x2110;

    pub const INIT_PHY_DONE: u16 = 0x2120;
    pub const INIT_PHY_INVALID: u16 = 0x2130;
    pub const LINK_RESET_DONE: u16 = 0x2300;
    pub const LLDP_UNSUPPORTED_AGENT: u16 = 0x2401;

    pub const RESOURCE_OK: u16 = 0x3400;
    pub const RESOURCE_UNKNOWN: u16 = 0x3500;
    pub const RESOURCE_DEPRECATED: u16 = 0x3600;
    pub const RESOURCE_ERROR: u16 = 0x3700;

    pub const VF_DISABLED_DONE: u16 = 0xb000;
    pub const VF_VECTORS_DONE: u16 = 0xb001;
    pub const VF_FLR_OK: u16 = 0xb003;
    pub const DEBUG_NOT_ENABLED: u16 = 0xb00a;
}

/// Events that the firmware posts to a driver; the number is the index of the message's counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
#[allow(missing_docs)]
pub enum Event {
    LinkChange = 0,
    FlrAckFailed = 1,
    VfDisabled = 2,
    LldpDataUpdated = 3,
    DcbxRemoteMibUpdated = 4,
    DcbxOperationalMibUpdated = 5,
    ErrorRecovery = 6,
    BandwidthUpdate = 7,
    STagUpdate = 8,
    GetLanStatistics = 9,
    GetFcoeStatistics = 10,
    GetIscsiStatistics = 11,
    GetRdmaStatistics = 12,
    FailureDetected = 13,
    TransceiverStateChange = 14,
    CriticalError = 15,
    EeeNegotiationComplete = 16,
    GetTlvRequest = 17,
    OemConfigUpdate = 18,
    LldpReceivedTlvsUpdated = 19,
    GenericIdc = 20,
    TransceiverTxFault = 21,
    TransceiverRxLos = 22,
    GetFcoeCapabilities = 23,
    GenerateLinkDump = 24,
    GenerateIdleCheck = 25,
    DcbxAdminApplied = 26,
}
