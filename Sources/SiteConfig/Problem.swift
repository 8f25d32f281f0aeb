package import SiteModel

/// One thing that is wrong in one file: what `--check` prints and what a faulted link gives as its reason.
package struct Problem: Sendable, Hashable, CustomStringConvertible {
    /// Path as an installer knows it: below the config folder where the file lies in it, absolute otherwise.
    package let file: String
    /// Counted from 1.
    package let line: Int
    /// One line of text: the key, what was wanted, what came.
    package let message: String
    /// Worth telling, but nothing that keeps the daemon from opening doors: it starts all the same, without what is wrong.
    package let isAdvice: Bool

    package init(file: String, line: Int, message: String, isAdvice: Bool = false) {
        self.file = oneLine(file)
        self.line = max(1, line)
        self.message = oneLine(message)
        self.isAdvice = isAdvice
    }

    /// The same, but only told.
    var asAdvice: Problem {
        Problem(file: file, line: line, message: message, isAdvice: true)
    }

    /// `links.d/yard.toml:7: controller.unit is 300; want 1-247`.
    package var description: String { "\(file):\(line): \(message)" }
}

/// What one pass over the config folder gave.
package struct LoadResult: Sendable {
    /// Nil when `lockerd.toml` (or `links.d` as a whole) cannot be used; advice alone does not make it so. Links whose own files are bad are in it, each with its problems.
    package let plan: SitePlan?
    /// Everything that is wrong, `lockerd.toml` first, then the links by name.
    package let problems: [Problem]
}

/// Limits on what is read; none of them can be lifted by a file.
package enum ConfigLimits {
    /// Largest file that is read, in bytes.
    package static let fileBytes = 1 << 20
    /// Deepest nesting of tables and arrays, and most parts of one dotted key.
    package static let depth = 16
    /// Most problems reported for one file; the rest is counted.
    package static let problemsPerFile = 100
    /// Most `*.toml` files in `links.d`.
    package static let links = 256
    /// Most controllers of one link: as many as a Modbus line has units.
    package static let controllersPerLink = 247
    /// Most lockers of one controller.
    package static let lockersPerController = 512
    /// Most lockers of one link: the line that configures its module must hold them all.
    package static let lockersPerLink = 4096
    /// Most lockers of one site.
    package static let lockersPerSite = 65_536
    /// Highest site-wide locker id.
    package static let highestLockerID = 999_999_999
    /// Longest name of a link, controller, module or board profile, in bytes.
    package static let nameBytes = 32
    /// Longest text for people (site, bank, what stands on a door), in bytes.
    package static let textBytes = 64
}

/// The text with control characters written as escapes, so that it stays on one line of a terminal or log.
func oneLine(_ text: String) -> String {
    guard text.unicodeScalars.contains(where: isControl) else { return text }
    return text.unicodeScalars.reduce(into: "") { out, scalar in
        if isControl(scalar) {
            out += scalar.escaped(asASCII: true)
        } else {
            out.unicodeScalars.append(scalar)
        }
    }
}

private func isControl(_ scalar: Unicode.Scalar) -> Bool {
    scalar.properties.generalCategory == .control
        || scalar.properties.generalCategory == .lineSeparator
        || scalar.properties.generalCategory == .paragraphSeparator
}

/// The text between quotes, cut where it is too long for a message.
func quoted(_ text: String) -> String {
    text.utf8.count <= 60 ? "\"\(text)\"" : "\"\(text.prefix(50))…\""
}
