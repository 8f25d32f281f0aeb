import ControlServer
import Foundation
import JSONLines
import LockerCore
import LockerKit
import LockerKitTesting
import NIOPosix
import SiteModel
import TestSupport
import Testing

@Suite struct `the socket's file` {
    private func server(_ path: String, group: String? = nil) -> ControlServer {
        var plan = ServedSite.plan(socket: path)
        plan.control.group = group
        let log = LogRecorder()
        let site = Site(
            plan: plan, connector: WallConnector(plan),
            environment: CoreEnvironment(
                clock: ContinuousClock(), wallClock: ControlServer.systemTime, logger: log.logger,
                bootID: "b0070123"))
        return ControlServer(
            core: site, plan: plan.control, group: ServedSite.group, version: "0.1.0",
            reload: { () async throws(LockerError) in ReloadView() }, logger: log.logger)
    }

    private func mode(_ path: String) throws -> Int {
        let attributes = try FileManager.default.attributesOfItem(atPath: path)
        return try #require(attributes[.posixPermissions] as? Int)
    }

    @Test func `it is made with mode 0660, its folder too, and removed at the end`() async throws {
        try await withTemporaryDirectory { directory in
            let path = "\(directory)/run/control.sock"
            let server = server(path)
            try await server.start()
            #expect(try mode(path) == 0o660)
            #expect(try mode("\(directory)/run") == 0o755)
            await server.stop()
            #expect(!FileManager.default.fileExists(atPath: path))
        }
    }

    @Test func `a dead daemon's socket is replaced, a living one's is not`() async throws {
        try await withTemporaryDirectory { directory in
            let path = "\(directory)/control.sock"
            let dead = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
            var address = sockaddr_un()
            address.sun_family = sa_family_t(AF_UNIX)
            withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
            let bound = withUnsafePointer(to: &address) {
                $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    bind(dead, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
                }
            }
            #expect(bound == 0)
            close(dead)
            let first = server(path)
            try await first.start()
            let second = server(path)
            await #expect(
                throws: SocketError("control socket \(path): a daemon serves it already")
            ) { try await second.start() }
            // The refused one's end leaves the first one's socket alone.
            await second.stop()
            #expect(FileManager.default.fileExists(atPath: path))
            await first.stop()
        }
    }

    @Test func `what is no socket is left alone`() async throws {
        try await withTemporaryDirectory { directory in
            let path = "\(directory)/control.sock"
            try write("precious", to: path)
            await #expect(throws: SocketError.self) { try await server(path).start() }
            #expect(try String(contentsOfFile: path, encoding: .utf8) == "precious")
        }
    }

    @Test func `its group may be given by number`() async throws {
        try await withTemporaryDirectory { directory in
            let path = "\(directory)/control.sock"
            // The only group that every user may give a file to, and that need not have a name.
            let server = server(path, group: "\(getegid())")
            try await server.start()
            let attributes = try FileManager.default.attributesOfItem(atPath: path)
            #expect(attributes[.groupOwnerAccountID] as? Int == Int(getegid()))
            await server.stop()
        }
    }

    @Test func `an unknown group, a missing folder and a long path are said so`() async throws {
        try await withTemporaryDirectory { directory in
            let path = "\(directory)/control.sock"
            await #expect(
                throws: SocketError("control socket \(path): no group nosuchgroup on this machine")
            ) { try await server(path, group: "nosuchgroup").start() }
            #expect(!FileManager.default.fileExists(atPath: path))
            await #expect(throws: SocketError.self) {
                try await server("\(directory)/a/b/control.sock").start()
            }
            await #expect(throws: SocketError.self) {
                try await server("\(directory)/\(String(repeating: "x", count: 108))").start()
            }
        }
    }

    @Test func `a socket of the service manager is taken over and not removed`() async throws {
        try await withTemporaryDirectory { directory in
            let path = "\(directory)/control.sock"
            let handle = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
            var address = sockaddr_un()
            address.sun_family = sa_family_t(AF_UNIX)
            withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
            withUnsafePointer(to: &address) {
                $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    _ = bind(handle, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
                }
            }
            #expect(listen(handle, 16) == 0)
            let server = server("/nowhere/at/all.sock")
            try await server.start(inheriting: handle)
            let client = RawClient()
            try await client.connect(to: path)
            #expect(try await client.call("version")["result"]?["daemon"] == "lockerd")
            await server.stop()
            #expect(FileManager.default.fileExists(atPath: path))
        }
    }

    @Test func `the service manager's variables count for the process they name`() throws {
        let given = ["LISTEN_PID": "77", "LISTEN_FDS": "1"]
        #expect(try ControlServer.inheritedSocket(environment: given, pid: 77) == 3)
        #expect(try ControlServer.inheritedSocket(environment: given, pid: 78) == nil)
        #expect(try ControlServer.inheritedSocket(environment: [:], pid: 77) == nil)
        #expect(throws: SocketError.self) {
            try ControlServer.inheritedSocket(
                environment: ["LISTEN_PID": "77", "LISTEN_FDS": "2"], pid: 77)
        }
    }
}

@Suite struct `the end of the server` {
    @Test func `replies under way go out, and then every connection ends`() async throws {
        try await ServedSite.with { served in
            let busy = try await served.client()
            let idle = try await served.client()
            let watching = try await served.client()
            _ = try await watching.call("subscribe", ["types": ["events.dropped"]])
            _ = try await idle.call("version")
            served.wall.hold()
            try await busy.send(
                #"{"jsonrpc":"2.0","id":1,"method":"open","params":{"locker":101}}"#)
            try await eventually("the lock is being fired") { served.wall.fired == [1] }
            async let stopped: Void = served.server.stop(grace: .seconds(10))
            #expect(try await idle.rest().isEmpty)
            #expect(try await watching.rest().isEmpty)
            served.wall.release()
            #expect(try await busy.json()["result"]?["outcome"] == "opened")
            #expect(try await busy.rest().isEmpty)
            await stopped
            #expect(served.server.clientCount == 0)
            await #expect(throws: RawClient.Problem.self) { _ = try await served.client() }
        }
    }

    @Test func `the grace bounds how long a stop takes`() async throws {
        try await ServedSite.with { served in
            let busy = try await served.client()
            served.wall.hold()
            try await busy.send(
                #"{"jsonrpc":"2.0","id":1,"method":"open","params":{"locker":101}}"#)
            try await eventually("the lock is being fired") { served.wall.fired == [1] }
            await served.server.stop(grace: .milliseconds(100))
            #expect(try await busy.rest().isEmpty)
        }
    }
}
