//! Which frames of a port are for which function: the filters of the network interface (NIG, LLH).

use fastlinq_pac::registers::nig;
use tock_registers::interfaces::Writeable;

use super::ConfigError;
use crate::core_state::Core;
use crate::host::Host;
use crate::log::debug;
use crate::mfw::features::PpfidBitmap;

/// MAC filters of a function.
pub const MAC_FILTERS: usize = 16;

/// A MAC address and how often it was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Filter {
    address: [u8; 6],
    users: u16,
}

/// The MAC filters of a function, with the chip's places for them.
///
/// An address that is added twice takes one place, and is gone when it has been removed twice.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MacFilters {
    places: [Option<Filter>; MAC_FILTERS],
}

impl MacFilters {
    /// No filters.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            places: [None; MAC_FILTERS],
        }
    }

    /// The addresses that have a place.
    pub fn addresses(&self) -> impl Iterator<Item = [u8; 6]> + '_ {
        self.places.iter().flatten().map(|filter| filter.address)
    }

    /// Says that the function's classification units are the function's (LLH_PPFID2PFID_TBL).
    pub fn claim_units<H: Host>(core: &Core<H>, units: PpfidBitmap) {
        let own = (0..8).filter(|unit| units.bitmap >> unit & 1 == 1);
        for register in own.filter_map(|unit| nig::LLH_PPFID2PFID_TBL_0.at(unit)) {
            register.on(&core.windows).set(core.identity.rel_pf.into());
        }
    }

    /// Has the port deliver frames for `address` to this function.
    ///
    /// Writes the filter's value by DMA (a line of 64 bits), then mode, protocol and header, and enables the
    /// filter last.
    ///
    /// # Errors
    ///
    /// [`ConfigError::FiltersFull`]; [`ConfigError::Dma`], and then the address has no filter.
    pub fn add<H: Host>(
        &mut self,
        core: &mut Core<H>,
        address: [u8; 6],
    ) -> Result<(), ConfigError> {
        let mut places = self.places.iter_mut().flatten();
        if let Some(filter) = places.find(|filter| filter.address == address) {
            filter.users = filter.users.saturating_add(1);
            return Ok(());
        }
        let mut places = self.places.iter_mut().enumerate();
        let (index, place) = places
            .find(|(_, place)| place.is_none())
            .ok_or(ConfigError::FiltersFull)?;
        program(core, index as u32, address)?;
        *place = Some(Filter { address, users: 1 });
        debug!("LLH filter {} is {:?}", index, address);
        Ok(())
    }

    /// Takes one use of an address back; the filter goes with the last. An unknown address is no error.
    ///
    /// The filter is disabled first, then its value is zeroed.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Dma`]; the filter is disabled all the same.
    pub fn remove<H: Host>(
        &mut self,
        core: &mut Core<H>,
        address: [u8; 6],
    ) -> Result<(), ConfigError> {
        for (index, place) in self.places.iter_mut().enumerate() {
            match place {
                Some(filter) if filter.address == address => {
                    filter.users -= 1;
                    if filter.users > 0 {
                        return Ok(());
                    }
                }
                _ => continue,
            }
            *place = None;
            return clear(core, index as u32);
        }
        Ok(())
    }

    /// Disables all filters.
    ///
    /// # Errors
    ///
    /// The first [`ConfigError::Dma`]; all filters are disabled all the same.
    pub fn clear<H: Host>(&mut self, core: &mut Core<H>) -> Result<(), ConfigError> {
        let mut result = Ok(());
        for (index, place) in self.places.iter_mut().enumerate() {
            if place.take().is_some() {
                result = result.and(clear(core, index as u32));
            }
        }
        result
    }
}

/// A filter's line, low half first.
pub(super) const fn filter_words([a, b, c, d, e, f]: [u8; 6]) -> [u32; 2] {
    [
        u32::from_be_bytes([c, d, e, f]),
        u32::from_be_bytes([0, 0, a, b]),
    ]
}

fn program<H: Host>(core: &mut Core<H>, index: u32, address: [u8; 6]) -> Result<(), ConfigError> {
    const MAC: u32 = 0;
    let line = nig::LLH_FUNC_FILTER_VALUE.element_address(index);
    core.dmae_write(line, &filter_words(address))?;
    let bus = &core.windows;
    for (register, value) in [
        (nig::LLH_FUNC_FILTER_MODE.at(index), MAC),
        (nig::LLH_FUNC_FILTER_PROTOCOL_TYPE.at(index), 0),
        (nig::LLH_FUNC_FILTER_HDR_SEL.at(index), 0),
        (nig::LLH_FUNC_FILTER_EN.at(index), 1),
    ] {
        if let Some(register) = register {
            register.on(bus).set(value);
        }
    }
    Ok(())
}

fn clear<H: Host>(core: &mut Core<H>, index: u32) -> Result<(), ConfigError> {
    if let Some(register) = nig::LLH_FUNC_FILTER_EN.at(index) {
        register.on(&core.windows).set(0);
    }
    let line = nig::LLH_FUNC_FILTER_VALUE.element_address(index);
    core.dmae_write(line, &[0, 0])?;
    Ok(())
}
