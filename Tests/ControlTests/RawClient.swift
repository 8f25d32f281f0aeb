import Glibc
import JSONLines
import LockerKit

/// A client made of system calls alone, so that what a test sends and sees is what stands on the wire.
///
/// It blocks, on a thread of its own.
actor RawClient {
    enum Problem: Error {
        case system(String, Int32)
        case silence
        case ended
    }

    private let queue = DeviceQueue(label: "raw-client")
    nonisolated var unownedExecutor: UnownedSerialExecutor { queue.asUnownedSerialExecutor() }

    private var descriptor: Int32 = -1
    private var received: [UInt8] = []

    deinit {
        if descriptor >= 0 { Glibc.close(descriptor) }
    }

    func connect(to path: String) throws {
        descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
        let result = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                Glibc.connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        guard result == 0 else { throw Problem.system("connect", errno) }
    }

    func send(_ bytes: [UInt8]) throws {
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes {
                Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
            }
            guard count > 0 else { throw Problem.system("send", errno) }
            rest = rest.dropFirst(count)
        }
    }

    /// Sends as much as the other side takes without waiting; returns how many bytes that was.
    func sendWithoutWaiting(_ bytes: [UInt8]) -> Int {
        bytes.withUnsafeBytes {
            max(
                0,
                Glibc.send(
                    descriptor, $0.baseAddress, $0.count,
                    Int32(MSG_NOSIGNAL | MSG_DONTWAIT)))
        }
    }

    func send(_ line: String) throws {
        try send(Array(line.utf8) + [0x0A])
    }

    /// Sends no more; replies still come.
    func halfClose() { shutdown(descriptor, Int32(SHUT_WR)) }

    func close() {
        Glibc.close(descriptor)
        descriptor = -1
    }

    /// The next line, without its line feed.
    func line(within seconds: Int = 20) throws -> [UInt8] {
        var limit = timeval(tv_sec: seconds, tv_usec: 0)
        setsockopt(
            descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
        while true {
            if let end = received.firstIndex(of: 0x0A) {
                defer { received.removeFirst(end + 1) }
                return Array(received[..<end])
            }
            var space = [UInt8](repeating: 0, count: 64 * 1024)
            let count = recv(descriptor, &space, space.count, 0)
            if count == 0 { throw Problem.ended }
            guard count > 0 else {
                throw errno == EAGAIN ? Problem.silence : Problem.system("recv", errno)
            }
            received += space[..<count]
        }
    }

    func json(within seconds: Int = 20) throws -> JSON {
        try JSONReader.parse(try line(within: seconds))
    }

    /// Sends a request and returns the next line.
    func ask(_ line: String) throws -> JSON {
        try send(line)
        return try json()
    }

    func call(_ method: String, _ params: JSON? = nil, id: Int = 1) throws -> JSON {
        var request: JSONObject = [
            "jsonrpc": "2.0", "id": .int(Int64(id)), "method": .string(method),
        ]
        request["params"] = params
        return try ask(JSON.object(request).text)
    }

    /// Every line until the other side closes.
    func rest() throws -> [JSON] {
        var lines: [JSON] = []
        while true {
            do {
                lines.append(try json())
            } catch Problem.ended {
                return lines
            }
        }
    }
}
