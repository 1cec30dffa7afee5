import FoundationEssentials
import HTTPTypes
import Hummingbird
import NIOCore

/// JSON bodies of the admin side.
enum AdminJSON {
    /// A value as one line of JSON.
    static func bytes(_ value: some Encodable) -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.withoutEscapingSlashes, .sortedKeys]
        // Our own types without a number that JSON lacks: they always encode, save for a ratio that is not a number.
        encoder.nonConformingFloatEncodingStrategy = .convertToString(
            positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan")
        guard let data = try? encoder.encode(value) else { return Array("{}".utf8) }
        return Array(data)
    }

    /// A value as a response.
    static func response(_ value: some Encodable, status: HTTPResponse.Status = .ok) -> Response {
        Response(
            status: status, headers: [.contentType: "application/json"],
            body: ResponseBody(byteBuffer: ByteBuffer(bytes: bytes(value))))
    }

    /// A request's body as a value; an error that names what is wrong.
    static func decode<Value: Decodable>(_ type: Value.Type, from buffer: ByteBuffer) throws -> Value {
        do {
            return try JSONDecoder().decode(type, from: Data(buffer.readableBytesView))
        } catch let error as AdminError {
            throw error
        } catch DecodingError.keyNotFound(let key, _) {
            throw AdminError.badRequest("the body lacks '\(key.stringValue)'", code: "invalid_json")
        } catch DecodingError.typeMismatch(_, let context) where !context.codingPath.isEmpty {
            let key = context.codingPath.map(\.stringValue).joined(separator: ".")
            throw AdminError.badRequest("'\(key)' in the body is of the wrong type", code: "invalid_json")
        } catch {
            throw AdminError.badRequest("the body is not a JSON object", code: "invalid_json")
        }
    }
}
