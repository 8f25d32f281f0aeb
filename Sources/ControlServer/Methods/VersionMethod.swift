import ControlWire
import JSONLines
import NIOCore
import SiteModel

/// `version`: which daemon this is and what it speaks.
enum VersionMethod {
    static func answer(_ call: Call, _ buffer: inout ByteBuffer) throws(ControlFault) {
        _ = try call.parameters()
        try call.grant.require(.view, to: "ask for the version")
        let result: JSON = [
            "daemon": "lockerd", "version": .string(call.server.daemonVersion),
            "protocol": [
                "major": .int(Int64(ControlProtocol.major)),
                "minor": .int(Int64(ControlProtocol.minor)),
            ],
        ]
        buffer.writeBytes(result.encoded)
    }
}
