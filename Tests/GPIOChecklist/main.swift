import GPIODriver
import Glibc
import JSONLines
import LockerKit
import LockerKitTesting
import Logging

// gpio-checklist GUARDIAN CHIP_LABEL SYSFS CONFIG: the promises of every driver, on a chip of the kernel's gpio-sim with 8 locks
// from line 0 and 8 sensors from line 8. SYSFS is its device's folder below /sys/devices, CONFIG the file that plugs it.
// Prints each broken promise; exit status 1 if there is any.

let words = CommandLine.arguments
guard words.count == 5 else {
    print("usage: gpio-checklist GUARDIAN CHIP_LABEL SYSFS CONFIG")
    exit(64)
}
let (guardian, label, sysfs, config) = (words[1], words[2], words[3], words[4])
let lockers = (1...8).map { LockerDescription(number: $0) }

@Sendable func readText(_ path: String) -> String {
    guard let file = fopen(path, "r") else { return "" }
    defer { fclose(file) }
    var bytes = [CChar](repeating: 0, count: 64)
    guard fgets(&bytes, Int32(bytes.count), file) != nil else { return "" }
    return String(decoding: bytes.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
}

/// The chip's folder, which has another name each time it was plugged.
@Sendable func chipFolder() -> String {
    guard let listing = opendir(sysfs) else { return "" }
    defer { closedir(listing) }
    while let entry = readdir(listing) {
        let name = withUnsafeBytes(of: entry.pointee.d_name) { bytes in
            String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
        }
        if name.hasPrefix("gpiochip") { return "\(sysfs)/\(name)" }
    }
    return ""
}

@Sendable func writeText(_ text: String, to path: String) {
    guard let file = fopen(path, "w") else { return }
    fputs(text, file)
    fclose(file)
}

let fixture = DriverFixture(
    lockers: lockers, pulse: .milliseconds(100), tolerance: .milliseconds(60),
    makeController: {
        let link = LinkDescription(
            name: "bench", options: Options(),
            controllers: [
                ControllerDescription(
                    id: "wall",
                    options: Options([
                        "chip": .string(label), "fires_at": "high", "polarity_known": true,
                        "first_output": 0, "first_input": 8, "open_level": 1,
                    ]),
                    lockers: lockers)
            ])
        let context = DriverContext(link: "bench", logger: Logger(label: "bench"))
        let made = try GPIODriver.makeControllers(for: link, context: context, guardian: guardian)
        guard let controller = made["wall"] else { fatalError("no controller was made") }
        return controller
    },
    energised: {
        let folder = chipFolder()
        return Set(
            (1...8).filter { readText("\(folder)/sim_gpio\($0 - 1)/value").hasPrefix("1") })
    },
    unplug: { writeText("0", to: config) },
    replug: { writeText("1", to: config) })
let violations = await DriverChecklist.run(fixture)
for violation in violations { print(violation) }
exit(violations.isEmpty ? 0 : 1)
