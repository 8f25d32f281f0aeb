import CGPIO
import Glibc

/// A GPIO chip of this machine.
package struct Chip: Sendable, Equatable {
    /// Its device file, as `/dev/gpiochip0`.
    package let path: String
    /// The kernel's name for it, which may be another one after the next start of the machine.
    package let name: String
    /// What its driver calls it, which stays.
    package let label: String
    /// Its number of lines; their offsets begin with 0.
    package let lines: Int

    package init(path: String, name: String, label: String, lines: Int) {
        self.path = path
        self.name = name
        self.label = label
        self.lines = lines
    }
}

/// What is known of one line of a chip.
package struct LineFacts: Sendable, Equatable {
    package let offset: Int
    /// Empty where it has none.
    package let name: String
    /// Who uses it; empty where nobody does, or where he does not say who he is.
    package let consumer: String
    package let isUsed: Bool
    package let isOutput: Bool
}

extension Chip {
    private static let folder = "/dev"

    /// The chip of a device file.
    package static func at(_ path: String) throws(GPIOFailure) -> Chip {
        var info = lkd_gpio_chip()
        let result = lkd_gpio_read_chip(path, &info)
        guard result == 0 else { throw GPIOFailure(result, doing: path) }
        return Chip(
            path: path, name: text(info.name), label: text(info.label), lines: Int(info.lines))
    }

    /// All chips of this machine, in the order of their numbers; those that cannot be opened are left out.
    package static func all() -> [Chip] {
        paths().compactMap { path in try? at(path) }
    }

    /// Device files of chips, in the order of their numbers.
    package static func paths() -> [String] {
        guard let listing = opendir(folder) else { return [] }
        defer { closedir(listing) }
        var numbers: [Int] = []
        while let entry = readdir(listing) {
            let name = text(entry.pointee.d_name)
            guard name.hasPrefix("gpiochip"), let number = Int(name.dropFirst(8)) else { continue }
            numbers.append(number)
        }
        return numbers.sorted().map { "\(folder)/gpiochip\($0)" }
    }

    /// The chip that `word` means: a path, a name as `gpiochip0`, or a label.
    ///
    /// A label that two chips have means neither.
    package static func find(_ word: String) throws(GPIOFailure) -> Chip {
        if word.hasPrefix("/") { return try at(word) }
        let chips = all()
        if let named = chips.first(where: { $0.name == word }) { return named }
        let labelled = chips.filter { $0.label == word }
        if labelled.count == 1 { return labelled[0] }
        if labelled.count > 1 {
            throw GPIOFailure(
                ENOTUNIQ,
                "chip \(word): \(labelled.map(\.name).joined(separator: " and ")) have that label; want the path of one"
            )
        }
        // Nobody is told that there is no such chip who may just not look at it.
        for path in paths() where access(path, R_OK | W_OK) != 0 && errno == EACCES {
            throw GPIOFailure(EACCES, "chip \(word): \(path) may not be opened")
        }
        let known = chips.map { "\($0.name) (\($0.label))" }.joined(separator: ", ")
        throw GPIOFailure(
            ENODEV, "chip \(word): there is \(known.isEmpty ? "none at all" : "only \(known)")")
    }

    /// What the kernel calls the device that the chip is part of, as `pca9535` on an I2C bus; empty where it has no name.
    ///
    /// Some drivers label their chips with the place on the bus (`1-0020`), which says nothing of what it is.
    package var device: String {
        var resolved = [CChar](repeating: 0, count: Int(PATH_MAX))
        guard realpath("/sys/bus/gpio/devices/\(name)", &resolved) != nil else { return "" }
        let path = String(
            decoding: resolved.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
        guard let end = path.lastIndex(of: "/") else { return "" }
        let file = open("\(path[..<end])/name", O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { return "" }
        defer { close(file) }
        var bytes = [UInt8](repeating: 0, count: 64)
        let count = max(0, read(file, &bytes, bytes.count))
        return String(decoding: bytes.prefix(count).prefix { $0 != 0x0A }, as: UTF8.self)
    }

    /// What is known of one of its lines.
    package func line(_ offset: Int) throws(GPIOFailure) -> LineFacts {
        var info = lkd_gpio_line()
        let result = lkd_gpio_read_line(path, UInt32(clamping: offset), &info)
        guard result == 0 else { throw GPIOFailure(result, doing: "line \(offset) of \(name)") }
        return LineFacts(
            offset: offset, name: text(info.name), consumer: text(info.consumer),
            isUsed: info.is_used, isOutput: info.is_output)
    }

    /// All its lines, in order.
    package func allLines() throws(GPIOFailure) -> [LineFacts] {
        var found: [LineFacts] = []
        for offset in 0..<lines { found.append(try line(offset)) }
        return found
    }
}

/// The version of libgpiod that is in use.
package var libraryVersion: String { String(cString: lkd_gpio_version()) }
