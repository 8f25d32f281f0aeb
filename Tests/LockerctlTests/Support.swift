import Foundation
import JSONLines
import TestSupport
import Testing

/// What a run of lockerctl left.
struct Run {
    let status: Int32
    let out: String
    let err: String
}

/// Python of the machine; the scripts need nothing beyond its standard library.
enum Python {
    static let path = ["/usr/bin/python3", "/usr/local/bin/python3", Checkout.python].first {
        FileManager.default.isExecutableFile(atPath: $0)
    }

    /// Nil when tests with a Python peer can run. In CI they must, and fail for want of it.
    static var whyNot: String? {
        path != nil || Checkout.isCI ? nil : "no python3 to play the daemon"
    }

    /// A script of the bench.
    static func script(_ name: String) -> String { "\(Checkout.root)/Tests/Bench/\(name)" }
}

/// The scripted daemon of `Tests/Bench/fake_lockerd.py` on a socket of its own.
struct FakeDaemon {
    let socket: String
    let process: ChildProcess

    /// Runs `body` against a daemon that answers by `script`, JSON as the script's own help describes it.
    static func with(_ script: String, _ body: (FakeDaemon) async throws -> Void) async throws {
        try await withTemporaryDirectory { directory in
            try write(script, to: "\(directory)/script.json")
            let socket = "\(directory)/control.sock"
            let process = try ChildProcess(
                try #require(Python.path, "no python3"),
                [Python.script("fake_lockerd.py"), socket, "\(directory)/script.json"])
            try await process.waitForOutput("ready")
            try await body(FakeDaemon(socket: socket, process: process))
            await process.stop()
        }
    }

    /// Requests of one method, in order.
    func requests(_ method: String) -> [JSON] {
        process.standardOutput.split(separator: "\n").compactMap { line in
            guard let json = try? JSONReader.parse(String(line)) else { return Optional.none }
            // `nil` alone would mean JSON's null here.
            return json["method"]?.stringValue == method ? json : Optional.none
        }
    }

    func ctl(_ arguments: String...) async throws -> Run {
        try await lockerctl(["--socket", socket] + arguments)
    }

    func start(_ arguments: String...) throws -> ChildProcess {
        try ChildProcess(Checkout.program("lockerctl"), ["--socket", socket] + arguments)
    }

    /// Runs lockerctl on a pseudo terminal; `steps` are pairs of what must appear and what is then typed.
    func terminal(_ steps: [(String, String)], _ arguments: String...) async throws -> Run {
        let list = JSON.array(
            steps.map { ["expect": .string($0.0), "send": .string($0.1)] })
        return try await run(
            try #require(Python.path, "no python3"),
            [
                Python.script("in_terminal.py"), list.text, Checkout.program("lockerctl"),
                "--socket", socket,
            ]
                + arguments)
    }
}

func lockerctl(
    _ arguments: [String], environment: [String: String] = [:]
) async throws -> Run {
    try await run(Checkout.program("lockerctl"), arguments, environment: environment)
}

/// Runs a program to its end, its output in files: a file holds everything when the program has ended, which cannot be said
/// of a pipe that another thread reads.
func run(
    _ program: String, _ arguments: [String], environment: [String: String] = [:]
) async throws -> Run {
    var result: Run?
    try await withTemporaryDirectory { directory in
        let command = "exec \"$0\" \"$@\" >\(directory)/out 2>\(directory)/err"
        let process = try ChildProcess(
            "/bin/sh", ["-c", command, program] + arguments,
            environment: ["NO_COLOR": "1", "TERM": "xterm"].merging(environment) { $1 })
        result = Run(
            status: try await process.exitStatus(),
            out: try String(contentsOfFile: "\(directory)/out", encoding: .utf8),
            err: try String(contentsOfFile: "\(directory)/err", encoding: .utf8))
    }
    return try #require(result)
}

/// Texts that several suites use.
enum Sample {
    static let status = """
        {"at":"2026-11-21T08:15:30.042Z","bootId":"b1","seq":12,"site":"depot-17","health":"degraded",
        "causes":[{"code":"controller-faulted","subject":"yard","message":"connect 10.0.0.7:502: connection refused"}],
        "controllers":[
        {"id":"yard","driver":"modbus","link":"yard","bank":null,"state":"faulted","since":"2026-11-21T08:13:30.000Z",
        "lastGoodMs":120042,"restarts":3,"reason":"connect 10.0.0.7:502: connection refused","lockers":1},
        {"id":"wall","driver":"simulator","link":"sim","bank":"main","state":"ready","since":"2026-11-20T08:15:30.000Z",
        "lastGoodMs":80,"restarts":0,"reason":null,"lockers":4,"novelty":[1]}],
        "lockers":[
        {"id":201,"address":"yard/1","name":"1","controller":"yard","bank":null,"door":"unknown","doorAgeMs":120042,
        "quality":"stale","lastDoor":"closed","operational":false,"outOfService":false,"brokenLock":false,"reasonCode":null,
        "reason":null,"lastOpen":null,"cycles":0},
        {"id":101,"address":"wall/1","name":"1","controller":"wall","bank":"main","door":"closed","doorAgeMs":80,
        "quality":"good","operational":true,"outOfService":false,"brokenLock":false,"reasonCode":null,"reason":null,
        "lastOpen":{"operation":"op-1","at":"2026-11-21T08:13:29.000Z","outcome":"opened"},"cycles":41},
        {"id":102,"address":"wall/2","name":"parcel L","controller":"wall","bank":"main","door":"open","doorAgeMs":3200,
        "quality":"good","operational":true,"outOfService":true,"brokenLock":false,"reasonCode":"dirty","reason":"spilt milk",
        "lastOpen":{"operation":"op-2","at":"2026-11-21T08:15:20.000Z","outcome":null},"cycles":1000},
        {"id":103,"address":"wall/3","name":"3","controller":"wall","bank":"main","door":"unknown","doorAgeMs":null,
        "quality":"none","operational":true,"outOfService":false,"brokenLock":true,"reasonCode":null,"reason":null,
        "lastOpen":null,"cycles":7},
        {"id":104,"address":"wall/4","name":"4","controller":"wall","bank":"main","door":"unknown","doorAgeMs":null,
        "quality":"stale","operational":true,"outOfService":false,"brokenLock":false,"reasonCode":null,"reason":null,
        "lastOpen":null,"cycles":0}],"later":{"kind":"addition"}}
        """.replacingOccurrences(of: "\n", with: "")

    /// A result of `open` with these members instead of the usual ones.
    static func open(_ outcome: String, evidence: String = "door-sensor", doorMs: String = "812")
        -> String
    {
        """
        {"operation":"op-3","locker":{"id":103,"address":"wall/3"},"state":"done","outcome":"\(outcome)",
        "evidence":"\(evidence)","door":"open","attempts":1,"replayed":false,
        "timing":{"queueMs":0.1,"busMs":17.2,"pulseMs":200,"doorMs":\(doorMs)}}
        """.replacingOccurrences(of: "\n", with: "")
    }

    static func fault(_ code: String, _ message: String, fired: String = "no") -> String {
        """
        {"code":-32000,"message":"\(message)","data":{"code":"\(code)","fired":"\(fired)","retryable":false,"details":{}}}
        """
    }
}
