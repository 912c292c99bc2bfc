//! Fake trees of the kernel's files.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use fastlinq_hal::adapter::Layer;

use super::*;

struct Tree {
    directory: tempfile::TempDir,
    sysfs: Sysfs,
}

const ADDRESS: &str = "0000:3b:00.0";

impl Tree {
    fn empty() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let root = directory.path();
        for folder in ["bus/pci/devices", "bus/pci/drivers", "kernel/iommu_groups"] {
            fs::create_dir_all(root.join(folder)).expect("made");
        }
        fs::write(root.join("bus/pci/drivers_probe"), "").expect("made");
        let sysfs = Sysfs::at(root);
        Self { directory, sysfs }
    }

    /// An adapter that is well, in group 12, without a driver.
    fn with_adapter() -> Self {
        let tree = Self::empty();
        tree.add(ADDRESS, 0x1077, 0x8070);
        tree
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn file(&self, address: &str, name: &str) -> PathBuf {
        self.path(&format!("bus/pci/devices/{address}/{name}"))
    }

    fn put(&self, name: &str, text: impl AsRef<[u8]>) {
        fs::write(self.file(ADDRESS, name), text).expect("written");
    }

    fn add(&self, address: &str, vendor: u16, device: u16) {
        fs::create_dir_all(self.file(address, "")).expect("made");
        let mut config = vec![0u8; 256];
        config[..2].copy_from_slice(&vendor.to_le_bytes());
        config[2..4].copy_from_slice(&device.to_le_bytes());
        config[4] = 2;
        let resource = "0x0000383fe0000000 0x0000383fe001ffff 0x000000000014220c\n\
            0x0000000000000000 0x0000000000000000 0x0000000000000000\n\
            0x0000383fe0800000 0x0000383fe0ffffff 0x000000000014220c\n";
        for (name, text) in [
            ("vendor", format!("{vendor:#06x}\n").as_bytes()),
            ("device", format!("{device:#06x}\n").as_bytes()),
            ("subsystem_vendor", b"0x1590\n"),
            ("subsystem_device", b"0x021e\n"),
            ("revision", b"0x02\n"),
            ("resource", resource.as_bytes()),
            ("config", &config),
            ("current_link_speed", b"8.0 GT/s PCIe\n"),
            ("current_link_width", b"8\n"),
            ("max_link_speed", b"8.0 GT/s PCIe\n"),
            ("max_link_width", b"8\n"),
            ("numa_node", b"1\n"),
            ("driver_override", b"(null)\n"),
            ("reset_method", b"flr bus\n"),
        ] {
            fs::write(self.file(address, name), text).expect("written");
        }
        self.group(address, 12);
    }

    fn group(&self, address: &str, group: u32) {
        let folder = self.path(&format!("kernel/iommu_groups/{group}"));
        fs::create_dir_all(folder.join("devices")).expect("made");
        symlink(&folder, self.file(address, "iommu_group")).expect("linked");
        symlink(self.file(address, ""), folder.join("devices").join(address)).expect("linked");
    }

    fn bound(&self, address: &str, driver: &str) {
        let folder = self.path(&format!("bus/pci/drivers/{driver}"));
        fs::create_dir_all(&folder).expect("made");
        fs::write(folder.join("unbind"), "").expect("made");
        let _ = fs::remove_file(self.file(address, "driver"));
        symlink(folder, self.file(address, "driver")).expect("linked");
    }

    fn interface(&self, name: &str, flags: &str) {
        let folder = self.file(ADDRESS, &format!("net/{name}"));
        fs::create_dir_all(&folder).expect("made");
        fs::write(folder.join("flags"), flags).expect("written");
    }

    fn function(&self) -> PciFunction {
        self.sysfs.function(address()).expect("there")
    }

    fn findings(&self) -> Vec<Finding> {
        findings(&self.sysfs, &self.function())
    }

    fn worst(&self) -> Finding {
        let all = self.findings();
        all.into_iter()
            .max_by_key(|finding| finding.severity)
            .expect("something")
    }
}

fn address() -> PciAddress {
    ADDRESS.parse().expect("an address")
}

#[test]
fn only_functions_of_the_family_are_adapters() {
    let tree = Tree::with_adapter();
    tree.add("0000:3b:00.1", 0x1077, 0x8070);
    tree.add("0000:01:00.0", 0x1077, 0x8080);
    tree.add("0000:02:00.0", 0x1077, 0x2422);
    tree.add("0000:03:00.0", 0x8086, 0x1656);
    tree.add("10000:01:00.0", 0x1077, 0x1656);
    fs::create_dir_all(tree.file("nonsense", "")).expect("made");
    let found: Vec<_> = tree
        .sysfs
        .adapters()
        .expect("read")
        .iter()
        .map(|a| a.address.to_string())
        .collect();
    assert_eq!(found, ["0000:3b:00.0", "0000:3b:00.1", "10000:01:00.0"]);
    assert!(Tree::empty().sysfs.adapters().expect("read").is_empty());
    assert!(
        Sysfs::at("/nonexistent")
            .adapters()
            .expect("read")
            .is_empty()
    );
}

#[test]
fn a_function_is_described() {
    let tree = Tree::with_adapter();
    let function = tree.function();
    assert_eq!(function.iommu_group, Some(12));
    assert_eq!(function.numa_node, Some(1));
    assert_eq!(
        (function.subsystem_vendor, function.subsystem),
        (0x1590, 0x021e)
    );
    assert_eq!(function.bars[0].size, 0x20000);
    assert!(function.bars[2].is_assigned() && function.bars[2].is_prefetchable());
    assert!(!function.bars[1].exists());
    assert_eq!(
        function.link.map(|link| link.to_string()).as_deref(),
        Some("8.0 GT/s x8")
    );
    assert_eq!(function.memory_enabled, Some(true));
    assert_eq!(function.bus_master, Some(false));
    assert_eq!(function.reset_methods, ["flr", "bus"]);
    let missing = tree
        .sysfs
        .function("0000:3c:00.0".parse().expect("an address"));
    assert!(matches!(missing, Err(SysfsError::NotFound(_))));
}

#[test]
fn faults_of_the_platform_are_found() {
    let tree = Tree::with_adapter();
    assert_eq!(tree.worst().severity, Severity::Note);
    assert!(tree.worst().next.contains("fastlinq bind 0000:3b:00.0"));
    // As Linux shows a BAR for which it found no room.
    tree.put(
        "resource",
        "0x0 0x1ffff 0x2014220c\n0x0 0x0 0x0\n0x383fe0800000 0x383fe0ffffff 0x14220c\n",
    );
    let worst = tree.worst();
    assert_eq!(
        (worst.severity, worst.layer),
        (Severity::Fault, Layer::Platform)
    );
    assert!(worst.what.contains("BAR0"), "{}", worst.what);
    tree.put("config", [0xff; 64]);
    assert_eq!(tree.worst().layer, Layer::Pci);
    assert_eq!(tree.findings().len(), 1);
}

#[test]
fn a_link_below_its_best_is_found_and_an_unknown_one_is_not() {
    let tree = Tree::with_adapter();
    tree.put("current_link_width", "4\n");
    let worst = tree.worst();
    assert_eq!(
        (worst.severity, worst.layer),
        (Severity::Warning, Layer::Pci)
    );
    assert!(
        worst.what.contains("8.0 GT/s x4 of 8.0 GT/s x8"),
        "{}",
        worst.what
    );
    tree.put("current_link_width", "0\n");
    assert_eq!(tree.worst().severity, Severity::Fault);
    tree.put("current_link_speed", "Unknown\n");
    assert_eq!(tree.function().link, None);
}

#[test]
fn the_driver_decides_what_comes_next() {
    let tree = Tree::with_adapter();
    tree.bound(ADDRESS, "qede");
    tree.interface("ens3f0", "0x1003\n");
    assert!(tree.worst().what.contains("qede has it as ens3f0"));
    tree.bound(ADDRESS, "vfio-pci");
    assert!(tree.worst().next.contains("--adapter vfio:0000:3b:00.0"));
    tree.add("0000:3b:00.1", 0x1077, 0x8070);
    tree.bound("0000:3b:00.1", "qede");
    let worst = tree.worst();
    assert_eq!(
        (worst.severity, worst.layer),
        (Severity::Fault, Layer::Platform)
    );
    assert!(worst.what.contains("0000:3b:00.1 (qede)"), "{}", worst.what);
    fs::remove_file(tree.file(ADDRESS, "iommu_group")).expect("removed");
    assert!(tree.worst().what.contains("no IOMMU"));
}

#[test]
fn nonsense_in_a_file_is_named() {
    let tree = Tree::with_adapter();
    tree.put("resource", "0x0 zz 0x0\n");
    let error = tree.sysfs.function(address()).expect_err("nonsense");
    assert!(error.to_string().contains("0x0 zz 0x0"), "{error}");
    tree.put("resource", "");
    tree.put("vendor", "0xzz");
    assert!(matches!(
        tree.sysfs.function(address()),
        Err(SysfsError::Malformed { .. })
    ));
    assert!(tree.sysfs.adapters().expect("read").is_empty());
}

#[test]
fn binding_asks_the_kernel_for_this_function_only() {
    let tree = Tree::with_adapter();
    let read = |path: PathBuf| fs::read_to_string(path).expect("read");
    let refused = tree.sysfs.bind_to_vfio(address(), false);
    assert!(matches!(refused, Err(SysfsError::NoDriver(_))));
    tree.bound(ADDRESS, "vfio-pci");
    assert!(tree.sysfs.bind_to_vfio(address(), false).is_ok());
    assert_eq!(
        read(tree.file(ADDRESS, "driver_override")),
        "(null)\n",
        "nothing to do"
    );

    tree.bound(ADDRESS, "qede");
    tree.interface("ens3f0", "0x1003\n");
    let refused = tree.sysfs.bind_to_vfio(address(), false);
    assert!(matches!(refused, Err(SysfsError::InterfaceUp { .. })));
    assert_eq!(read(tree.file(ADDRESS, "driver_override")), "(null)\n");
    // No kernel here that would do it, so the function still has its driver, and that is said.
    let refused = tree
        .sysfs
        .bind_to_vfio(address(), true)
        .expect_err("not taken");
    assert!(refused.to_string().contains("now has qede"), "{refused}");
    assert!(read(tree.file(ADDRESS, "driver_override")).starts_with("vfio-pci"));
    assert_eq!(read(tree.path("bus/pci/drivers/qede/unbind")), ADDRESS);
    assert_eq!(read(tree.path("bus/pci/drivers_probe")), ADDRESS);
}

#[test]
fn unbinding_gives_the_choice_back_to_the_kernel() {
    let tree = Tree::with_adapter();
    tree.bound(ADDRESS, "vfio-pci");
    tree.sysfs.unbind_from_vfio(address()).expect("asked");
    let read = |path: PathBuf| fs::read_to_string(path).expect("read");
    assert!(read(tree.file(ADDRESS, "driver_override")).starts_with('\n'));
    assert_eq!(read(tree.path("bus/pci/drivers/vfio-pci/unbind")), ADDRESS);
    assert_eq!(read(tree.path("bus/pci/drivers_probe")), ADDRESS);
}
