import LockerKit

/// Where beats are posted: an `http` or `https` URL taken apart and put together again from its parts.
///
/// What is sent to is what was judged here; a URL that two readers could understand differently is refused.
struct Endpoint: Sendable, Equatable {
    let isEncrypted: Bool
    /// A name, an IPv4 address, or an IPv6 address without its brackets; lower-case.
    let host: String
    /// Nil where the URL names none.
    let port: Int?
    /// Path and query, with the first slash.
    let target: String

    /// Takes apart `url`; plain http to another machine only where `allowsPlainHTTP`.
    init(_ url: String, allowsPlainHTTP: Bool = false) throws(LockerError) {
        guard url.utf8.count <= 2048 else {
            throw Self.wrong("is \(url.utf8.count) bytes long, want at most 2048")
        }
        guard url.utf8.allSatisfy({ (0x21...0x7E).contains($0) && $0 != UInt8(ascii: "\\") }) else {
            throw Self.wrong("holds a space or a character that must be percent-encoded")
        }
        let (isEncrypted, rest) = try Self.scheme(of: url)
        let end = rest.firstIndex { $0 == "/" || $0 == "?" || $0 == "#" } ?? rest.endIndex
        let (host, port) = try Self.authority(rest[..<end])
        let tail = rest[end...]
        guard !tail.contains("#") else {
            throw Self.wrong("holds a fragment (#…), which is never sent")
        }
        self.isEncrypted = isEncrypted
        self.host = host
        self.port = port
        target = tail.hasPrefix("/") ? String(tail) : "/\(tail)"
        guard isEncrypted || isLoopback || allowsPlainHTTP else {
            throw Self.wrong(
                "would carry beats and token in clear to \(host); want https, or allow_plain_http = true"
            )
        }
    }

    /// The whole URL.
    var url: String { "\(isEncrypted ? "https" : "http")://\(authority)\(target)" }

    /// Host and port for messages; path and query stay out of them because some services put keys there.
    var name: String { "\(bracketed):\(port ?? (isEncrypted ? 443 : 80))" }

    /// Whether nothing leaves this machine.
    var isLoopback: Bool {
        if host == "localhost" || host == "::1" { return true }
        let octets = host.split(separator: ".", omittingEmptySubsequences: false)
        return octets.count == 4 && octets[0] == "127"
            && octets.allSatisfy { (1...3).contains($0.utf8.count) && UInt8($0) != nil }
    }

    private var bracketed: String { host.contains(":") ? "[\(host)]" : host }
    private var authority: String { port.map { "\(bracketed):\($0)" } ?? bracketed }

    private static func scheme(
        of url: String
    ) throws(LockerError) -> (isEncrypted: Bool, rest: Substring) {
        for (scheme, isEncrypted) in [("https://", true), ("http://", false)]
        where url.lowercased().hasPrefix(scheme) {
            return (isEncrypted, url.dropFirst(scheme.count))
        }
        throw wrong("does not begin with https:// or http://")
    }

    private static func authority(
        _ text: Substring
    ) throws(LockerError) -> (host: String, port: Int?) {
        guard !text.contains("@") else {
            throw wrong("holds a user name or password; put a token into token_file")
        }
        var host = text
        var port: Substring?
        if text.hasPrefix("[") {
            guard let close = text.firstIndex(of: "]") else { throw wrong("has no ] after [") }
            host = text[text.index(after: text.startIndex)..<close]
            let rest = text[text.index(after: close)...]
            guard rest.isEmpty || rest.hasPrefix(":") else {
                throw wrong("has neither a port nor a path after ]")
            }
            port = rest.isEmpty ? nil : rest.dropFirst()
            guard host.contains(":"), host.allSatisfy({ $0.isHexDigit || $0 == ":" || $0 == "." })
            else { throw wrong("has no IPv6 address between [ and ]") }
        } else {
            if let colon = text.firstIndex(of: ":") {
                host = text[..<colon]
                port = text[text.index(after: colon)...]
            }
            guard !host.isEmpty,
                host.allSatisfy({ $0.isLetter || $0.isNumber || ".-_".contains($0) })
            else { throw wrong("has no usable host name") }
        }
        guard let port else { return (host.lowercased(), nil) }
        guard port.utf8.allSatisfy({ (0x30...0x39).contains($0) }), let number = UInt16(port),
            number > 0
        else {
            throw wrong("has the port \"\(port)\", want 1 to 65535")
        }
        return (host.lowercased(), Int(number))
    }

    private static func wrong(_ what: String) -> LockerError {
        LockerError(.invalidRequest, "url \(what)")
    }
}
