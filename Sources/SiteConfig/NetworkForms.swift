import Glibc

/// Whether a text can name the other end of a connection. Whether it exists only the network knows.
enum HostForm {
    static func accepts(_ text: String) -> Bool {
        if text.utf8.contains(UInt8(ascii: ":")) { return isIPv6(text) }
        if text.utf8.allSatisfy({ isDigit($0) || $0 == UInt8(ascii: ".") }) { return isIPv4(text) }
        return isName(text)
    }

    private static func isName(_ text: String) -> Bool {
        // One dot at the end says that the name is whole.
        let name = text.hasSuffix(".") ? text.dropLast() : text[...]
        return (1...253).contains(name.utf8.count)
            && name.split(separator: ".", omittingEmptySubsequences: false).allSatisfy { label in
                (1...63).contains(label.utf8.count) && label.utf8.allSatisfy(isLetter)
                    && label.utf8.first != UInt8(ascii: "-")
            }
    }

    private static func isIPv4(_ text: String) -> Bool {
        var address = in_addr()
        return inet_pton(AF_INET, text, &address) == 1
    }

    /// With or without the interface that a link-local address needs, as in `fe80::1%eth0`.
    private static func isIPv6(_ text: String) -> Bool {
        let parts = text.split(separator: "%", maxSplits: 1, omittingEmptySubsequences: false)
        var address = in6_addr()
        return inet_pton(AF_INET6, String(parts[0]), &address) == 1
            && (parts.count == 1 || (1...15).contains(parts[1].utf8.count))
    }

    private static func isDigit(_ byte: UInt8) -> Bool {
        (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
    }

    private static func isLetter(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "-"), UInt8(ascii: "_"):
            true
        default: isDigit(byte)
        }
    }
}

/// Whether a text is a URL of http or https that every reader understands the same way.
enum URLForm {
    /// Nil for one that is right, otherwise the end of "a URL that …"; says nothing of what may be secret in it.
    static func objection(to url: String) -> String? {
        guard url.utf8.allSatisfy({ (0x21...0x7E).contains($0) && $0 != UInt8(ascii: "\\") }) else {
            return "holds a space or a character that must be percent-encoded"
        }
        let scheme = ["https://", "http://"].first { url.lowercased().hasPrefix($0) }
        guard let scheme else { return "does not begin with https:// or http://" }
        let rest = url.dropFirst(scheme.count)
        let end = rest.firstIndex { $0 == "/" || $0 == "?" || $0 == "#" } ?? rest.endIndex
        guard !rest[end...].contains("#") else {
            return "holds a fragment (#…), which is never sent"
        }
        return authority(rest[..<end])
    }

    private static func authority(_ text: Substring) -> String? {
        guard !text.contains("@") else { return "holds a user name or password" }
        var host = text
        var port: Substring?
        if text.hasPrefix("[") {
            guard let close = text.firstIndex(of: "]") else { return "has no ] after [" }
            host = text[text.index(after: text.startIndex)..<close]
            guard host.contains(":"), !host.contains("%") else {
                return "has no IPv6 address between [ and ]"
            }
            let rest = text[text.index(after: close)...]
            guard rest.isEmpty || rest.hasPrefix(":") else {
                return "has neither a port nor a path after ]"
            }
            port = rest.isEmpty ? nil : rest.dropFirst()
        } else if let colon = text.firstIndex(of: ":") {
            host = text[..<colon]
            port = text[text.index(after: colon)...]
        }
        guard HostForm.accepts(String(host)) else { return "has no usable host name" }
        guard let port else { return nil }
        let isNumber = port.utf8.allSatisfy { (0x30...0x39).contains($0) }
        return isNumber && UInt16(port).map { $0 > 0 } == true ? nil : "has no port of 1 to 65535"
    }
}
