import ControlWire
import Foundation
import JSONLines
import LockerKit
import TestSupport
import Testing

@Suite struct `the protocol's lists` {
    private let document =
        (try? String(
            contentsOfFile: "\(Checkout.root)/docs/protocol.md", encoding: .utf8)) ?? ""

    @Test(arguments: ControlMethod.allCases)
    func `every method stands in the document and has a schema`(method: ControlMethod) {
        #expect(document.contains("[`\(method.rawValue)`]("))
        let schema = ControlSchema.document(for: method)["methods"]?[method.rawValue]
        #expect(schema?["params"]?.objectValue != nil)
        #expect(schema?["result"]?.objectValue != nil)
    }

    @Test func `every error code stands in the document and in the schema`() {
        let codes = LockerError.Code.allCases.map(\.rawValue)
        let schema = ControlSchema.document(for: nil)["$defs"]?["error"]?["properties"]?["data"]?[
            "properties"]?["code"]?["enum"]
        #expect(schema?.arrayValue?.compactMap(\.stringValue) == codes)
        for code in codes { #expect(document.contains("`\(code)`"), "\(code)") }
    }

    @Test func `every event type stands in the document and in the schema`() {
        let types = ControlEventType.allCases.map(\.rawValue)
        let schema = ControlSchema.document(for: nil)["$defs"]?["eventType"]?["enum"]
        #expect(schema?.arrayValue?.compactMap(\.stringValue) == types)
        for type in types { #expect(document.contains("`\(type)`"), "\(type)") }
    }

    @Test func `every definition that a schema refers to is there`() {
        let whole = ControlSchema.document(for: nil)
        let text = whole.text
        let names = text.matches(of: /#\/\$defs\/([A-Za-z]+)/).map { String($0.output.1) }
        #expect(names.count > 20)
        for name in names { #expect(whole["$defs"]?[name]?.objectValue != nil, "\(name)") }
    }

    @Test func `the limits of the document are those of the program`() {
        let limits = ControlLimits.standard
        #expect(
            document.contains("| bytes of a request line | 65,536 |")
                == (limits.lineBytes == 65_536))
        #expect(limits.requestsInFlight == 64)
        #expect(limits.batchElements == 64)
        #expect(limits.batchReplyBytes == 16 << 20)
        #expect(limits.outboundBytes == 256 << 10)
        #expect(limits.subscriptionEvents == 4096)
        #expect(limits.closingGrace == .seconds(5))
    }

    @Test(arguments: [
        ("opne", "open"), ("open_all", "open-all"), ("Status", "status"),
        ("controler", "controllers"),
    ])
    func `a mistyped word finds its neighbour`(word: String, meant: String) {
        #expect(Nearest.word(to: word, among: ControlMethod.allCases.map(\.rawValue)) == meant)
    }

    @Test func `a word that resembles nothing finds nothing`() {
        #expect(Nearest.word(to: "frobnicate", among: ["open", "status"]) == nil)
        #expect(Nearest.word(to: "", among: ["open"]) == nil)
    }
}
