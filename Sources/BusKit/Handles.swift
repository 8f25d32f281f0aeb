package import Glibc

/// What is done to the descriptor of a serial port.
package enum SerialHandle {
    /// Has others refused who want to open the port: two masters on one line garble each other, and a modem manager's greeting
    /// reaches every lock board. What is no terminal has no such mode, and does without.
    ///
    /// Root is not refused by that, so there is a lock beside it, which programs of this project ask for.
    ///
    /// A pseudo terminal keeps the mode while its other end is open, also when this process was killed: nobody but root could open
    /// it again then, and somebody has to switch off what was left on. It is locked only.
    package static func keepToOurselves(_ handle: Int32) throws(PortFailure) {
        try lock(handle)
        if !isPseudo(handle) { _ = ioctl(handle, UInt(TIOCEXCL)) }
    }

    /// Opens a port for its lock alone: before anybody else sets its rate.
    package static func lockBeforehand(_ path: String) throws(PortFailure) -> Int32 {
        let handle = Glibc.open(path, O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC)
        guard handle >= 0 else { throw PortFailure(step: .open, errno: errno) }
        do throws(PortFailure) { try lock(handle) } catch {
            _ = Glibc.close(handle)
            throw error
        }
        return handle
    }

    /// Keeps everybody out but root, as ``keepToOurselves(_:)`` does besides its lock.
    package static func exclude(_ handle: Int32) {
        if !isPseudo(handle) { _ = ioctl(handle, UInt(TIOCEXCL)) }
    }

    /// Unlocks and closes. Closing alone would leave the lock to a child that was forked this very moment.
    package static func close(_ handle: Int32) {
        _ = flock(handle, LOCK_UN)
        _ = Glibc.close(handle)
    }

    private static func lock(_ handle: Int32) throws(PortFailure) {
        guard flock(handle, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK else {
            throw PortFailure(step: .open, errno: EWOULDBLOCK)
        }
    }

    /// The other ends of pseudo terminals have the majors 136-143 (Documentation/admin-guide/devices.txt of Linux).
    private static func isPseudo(_ handle: Int32) -> Bool {
        var state = stat()
        guard fstat(handle, &state) == 0 else { return false }
        return 136...143 ~= (state.st_rdev >> 8) & 0xFFF
    }
}

/// What is done to the descriptor of a TCP connection, and what leads to one.
package enum NetworkHandle {
    /// Keeps an order that was not delivered from being delivered later.
    ///
    /// What was handed to the kernel outlives the call, the connection and the process: it is sent again and again, and a lock
    /// would be fired whenever the cable is back, by an order that was given up long ago. So a close throws away what the
    /// other end has not acknowledged, and the one that the kernel does for a process that was killed does the same.
    package static func forbidLateDelivery(
        _ handle: Int32, after patience: Duration
    ) throws(PortFailure) {
        var abort = linger(l_onoff: 1, l_linger: 0)
        try set(
            handle, SOL_SOCKET, SO_LINGER, to: &abort, socklen_t(MemoryLayout.size(ofValue: abort)))
        // For as long as the connection is kept, which is longer than any answer is waited for where this process is held up.
        var milliseconds = UInt32(clamping: max(1, patience.wholeMilliseconds))
        try set(
            handle, Int32(IPPROTO_TCP), TCP_USER_TIMEOUT, to: &milliseconds,
            socklen_t(MemoryLayout.size(ofValue: milliseconds)))
    }

    package static func set(
        _ handle: Int32, _ level: Int32, _ option: Int32, to value: UnsafeRawPointer,
        _ size: socklen_t
    ) throws(PortFailure) {
        guard setsockopt(handle, level, option, value, size) == 0 else {
            throw PortFailure(step: .open, errno: errno)
        }
    }

    /// The addresses that a host's name stands for, as numbers. Waits for name servers as long as the system does, except
    /// where `host` must be a number itself.
    package static func resolve(
        _ host: String, isNumber: Bool = false
    ) throws(PortFailure) -> [String] {
        var hints = addrinfo()
        if isNumber { hints.ai_flags = AI_NUMERICHOST }
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        var list: UnsafeMutablePointer<addrinfo>?
        let code = getaddrinfo(host, nil, &hints, &list)
        guard code == 0 else {
            throw code == EAI_SYSTEM
                ? PortFailure(step: .open, errno: errno) : PortFailure(step: .resolve, errno: code)
        }
        defer { freeaddrinfo(list) }
        var found: [String] = []
        var next = list
        while let entry = next?.pointee {
            next = entry.ai_next
            var text = [CChar](repeating: 0, count: Int(NI_MAXHOST))
            let size = socklen_t(text.count)
            let isKnown = getnameinfo(
                entry.ai_addr, entry.ai_addrlen, &text, size, nil, 0, NI_NUMERICHOST)
            if isKnown == 0 {
                found.append(
                    String(decoding: text.prefix { $0 != 0 }.map(UInt8.init), as: UTF8.self))
            }
        }
        return found
    }
}
