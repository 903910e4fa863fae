using Tributary.Contracts.Kafka.Messages;
using ErrorCode = Tributary.Contracts.Kafka.ErrorCode;

namespace Tributary.Tests.Kafka.Golden;

/// <summary>What the schema language has and the messages above don't use.</summary>
internal static class SampleGolden
{
    private const string Id = "00112233-4455-6677-8899-aabbccddeeff";

    public static IEnumerable<GoldenCase> Cases => [.. Requests, .. Responses];

    private static IEnumerable<GoldenCase> Requests =>
    [
        GoldenCase.Of(0, 0, new SampleRequest(),
            new Wire()
                .Int8(1).Int8(-3).Int16(0x7FFF).Hex("EE 6B 28 00").Hex("3F E0 00 00 00 00 00 00")
                .String("x y").String("").Records("").Records("")
                .Array(0)
                .String("")
                .Array(0)),
        GoldenCase.Of(1, 1, Request(1),
            new Wire()
                .Int8(0).Int8(7).Int16(-2).Int16(1883).Hex("F0 00 00 01").Hex("BF F8 00 00 00 00 00 00")
                .String("t").NullString().Records("01 02").Int32(-1)
                .Array(2).String("w1").String("w2")
                .Array(1).Uuid(Id)
                .String("home").Int32(100)
                .Int8(1).String("away").Int32(200)
                .Array(1).String("p").Int32(300)),
        GoldenCase.Of(1, 1, new SampleRequest { MaybeIds = [] },
            new Wire()
                .Int8(1).Int8(-3).Int16(0x7FFF).Int16(9092).Hex("EE 6B 28 00").Hex("3F E0 00 00 00 00 00 00")
                .String("x y").String("").Records("").Records("")
                .Array(0).Array(0)
                .String("").Int32(0)
                .Int8(-1)
                .Array(0)),
        GoldenCase.Of(2, 2, Request(2),
            new Wire()
                .Int8(0).Int8(7).Int16(-2).Int16(1883).Hex("F0 00 00 01").Hex("BF F8 00 00 00 00 00 00")
                .CompactString("t").CompactNull().CompactRecords("01 02").CompactNull()
                .CompactArray(2).CompactString("w1").CompactString("w2")
                .CompactArray(1).Uuid(Id)
                .CompactString("home").Int32(100).NoTags()
                .Int8(1).CompactString("away").Int32(200).NoTags()
                .CompactArray(1).CompactString("p").Int32(300).NoTags()
                .Tags(
                    (1, new Wire().CompactString("tagged").Int32(400).NoTags()),
                    (5, new Wire().CompactString("")),
                    (6, new Wire().CompactRecords("03 04 05")),
                    (300, new Wire().Int8(1)))),
        GoldenCase.Of(3, 3, Request(3),
            new Wire()
                .Int8(0).Int8(7).Int16(-2).Int16(1883).Hex("F0 00 00 01").Int64(31).Hex("BF F8 00 00 00 00 00 00")
                .CompactString("t").CompactNull().CompactRecords("01 02").CompactNull()
                .CompactArray(2).CompactString("w1").CompactString("w2")
                .CompactArray(1).Uuid(Id)
                .CompactString("home").Int32(100).NoTags()
                .Int8(1).CompactString("away").Int32(200).NoTags()
                .CompactArray(1).CompactString("p").Int32(300).NoTags()
                .Tags(
                    (1, new Wire().CompactString("tagged").Int32(400).NoTags()),
                    (2, new Wire().CompactArray(2).Int16(1).Int16(-1)),
                    (5, new Wire().CompactString("")),
                    (6, new Wire().CompactRecords("03 04 05")),
                    (300, new Wire().Int8(1)))),
        GoldenCase.Of(4, 4, new SampleRequest { MaybeBlob = null },
            new Wire()
                .Int8(1).Int8(-3).Int16(0x7FFF).Int16(9092).Hex("EE 6B 28 00").Hex("3F E0 00 00 00 00 00 00")
                .CompactString("x y").CompactString("").CompactRecords("").CompactNull()
                .CompactArray(0).CompactNull()
                .CompactString("").NoTags()
                .Int8(-1)
                .CompactArray(0)
                .NoTags()),
    ];

    private static IEnumerable<GoldenCase> Responses =>
    [
        GoldenCase.Of(0, 1, new SampleResponse { ErrorCode = ErrorCode.InvalidConfig }, new Wire().Int16(40)),
        GoldenCase.Of(2, 2, new SampleResponse { ErrorCode = ErrorCode.InvalidConfig }, new Wire().Int16(40).NoTags()),
        GoldenCase.Of(3, 4,
            new SampleResponse
            {
                ErrorCode = (ErrorCode)(-32768),
                Late = new() { Records = new byte[] { 9 }, Codes = [ErrorCode.None, ErrorCode.UnknownServerError] },
            },
            new Wire().Int16(-32768).Int8(1).CompactRecords("09").CompactArray(2).Int16(0).Int16(-1).NoTags().NoTags()),
        GoldenCase.Of(3, 4, new SampleResponse(), new Wire().Int16(0).Int8(-1).NoTags()),
    ];

    private static SampleRequest Request(short version) => new()
    {
        Flag = false,
        Tiny = 7,
        Small = -2,
        Port = 1883,
        Wide = 0xF0000001,
        Long = version == 3 ? 31 : long.MinValue,
        Ratio = -1.5,
        Text = "t",
        MaybeText = null,
        Blob = new byte[] { 1, 2 },
        MaybeBlob = null,
        Words = ["w1", "w2"],
        MaybeIds = [Guid.Parse(Id)],
        Home = new() { Name = "home", Height = 100 },
        Away = new() { Name = "away", Height = 200 },
        Places = [new() { Name = "p", Height = 300 }],
        TagText = version >= 2 ? "" : null,
        TagNumbers = version >= 3 ? [1, -1] : [],
        TagPlace = version >= 2 ? new() { Name = "tagged", Height = 400 } : null,
        TagFlag = version >= 2,
        TagBlob = version >= 2 ? new byte[] { 3, 4, 5 } : default,
    };
}
