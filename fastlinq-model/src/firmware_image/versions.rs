//! The tables of a build: firmware variables as the file lists them, and where the runtime array goes.

use fastlinq_pac::GrcAddress;
use fastlinq_pac::versions::{FirmwareVersion, IroId, Layout, V8_59_1};

use super::builder::IroRecord;
use super::iro_records::IRO_RECORDS;
use super::runtime_runs::{RUNTIME_RUNS, RuntimeRun};

fn is_newest(version: FirmwareVersion) -> bool {
    version == V8_59_1.version
}

/// The records of the variable section. Those of 8.59.1.0 are the genuine file's; of other builds those that the PAC
/// names are there, and the rest is empty.
pub(super) fn iro_table(layout: &Layout) -> Vec<IroRecord> {
    if is_newest(layout.version) {
        return IRO_RECORDS.to_vec();
    }
    let mut table = vec![IroRecord::default(); usize::from(layout.iro_records)];
    for variable in IroId::all().filter_map(|id| layout.iro(id)) {
        if let Some(record) = table.get_mut(usize::from(variable.record)) {
            *record = IroRecord {
                base: variable.base,
                strides: variable.steps,
                size: variable.size,
            };
        }
    }
    table
}

/// The runtime writes of the program. Those of 8.59.1.0 are the genuine program's; in other builds the same registers
/// get the entries that the build has for them.
pub(super) fn runtime_runs(layout: &Layout) -> Vec<RuntimeRun> {
    if is_newest(layout.version) {
        return RUNTIME_RUNS.to_vec();
    }
    let mut runs: Vec<RuntimeRun> = Vec::new();
    for run in &RUNTIME_RUNS {
        let first = runs.len();
        for dword in 0..run.dwords {
            let address = run.address + 4 * u32::from(dword);
            let Some(index) = layout.runtime_index(GrcAddress(address)) else {
                continue;
            };
            match runs[first..].last_mut() {
                Some(last)
                    if last.index + last.dwords == index
                        && last.address + 4 * u32::from(last.dwords) == address =>
                {
                    last.dwords += 1;
                }
                _ => runs.push(RuntimeRun {
                    address,
                    index,
                    dwords: 1,
                    ..*run
                }),
            }
        }
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the derivation for other builds rests on: an entry's register is where the genuine program writes it.
    #[test]
    fn entries_go_to_the_registers_that_the_descriptions_name() {
        for run in &RUNTIME_RUNS {
            for dword in 0..run.dwords {
                let address = run.address + 4 * u32::from(dword);
                let index = V8_59_1.runtime_index(GrcAddress(address));
                assert_eq!(index, Some(run.index + dword), "{address:#x}");
            }
        }
    }

    #[test]
    fn the_variables_that_are_described_are_those_of_the_file() {
        for variable in IroId::all().filter_map(|id| V8_59_1.iro(id)) {
            let record = IRO_RECORDS[usize::from(variable.record)];
            assert_eq!(
                (record.base, record.strides, record.size),
                (variable.base, variable.steps, variable.size)
            );
        }
    }

    /// Every named entry of an older build that 8.59.1.0 writes, too, is written, at its own index and once.
    #[test]
    fn older_builds_write_their_runtime_array() {
        for layout in fastlinq_pac::versions::ALL {
            let runs = runtime_runs(layout);
            let mut entries = std::collections::BTreeSet::new();
            for run in &runs {
                for dword in 0..run.dwords {
                    assert!(run.index + dword < layout.runtime_size);
                    entries.insert(run.index + dword);
                }
            }
            let all: usize = fastlinq_pac::versions::RuntimeId::all()
                .map(|id| usize::from(layout.runtime(id).len))
                .sum();
            println!(
                "{}: {} of {all} entries in {} runs",
                layout.version,
                entries.len(),
                runs.len()
            );
            assert!(entries.len() > 25_000, "{} entries", entries.len());
        }
    }
}
