using Tributary.Contracts.Kafka;
using Tributary.Contracts.Kafka.Messages;
using ErrorCode = Tributary.Contracts.Kafka.ErrorCode;

namespace Tributary.Tests.Kafka.Golden;

/// <summary>DescribeConfigs, AlterConfigs and IncrementalAlterConfigs.</summary>
internal static class ConfigsGolden
{
    public static IEnumerable<GoldenCase> Cases => [.. Describe, .. Alter, .. Incremental];

    private static IEnumerable<GoldenCase> Describe =>
    [
        GoldenCase.Of(1, 2, Question(1),
            new Wire().Array(2).Int8(2).String("a").Array(-1).Int8(4).String("1").Array(1).String("num.partitions").Int8(1)),
        GoldenCase.Of(3, 3, Question(3),
            new Wire().Array(2).Int8(2).String("a").Array(-1).Int8(4).String("1").Array(1).String("num.partitions").Int8(1).Int8(1)),
        GoldenCase.Of(4, 4, Question(4),
            new Wire().CompactArray(2)
                .Int8(2).CompactString("a").CompactNull().NoTags()
                .Int8(4).CompactString("1").CompactArray(1).CompactString("num.partitions").NoTags()
                .Int8(1).Int8(1).NoTags()),
        GoldenCase.Of(1, 2, Answer(1),
            new Wire().Int32(8).Array(1).Int16(40).String("bad").Int8(2).String("a").Array(1)
                .String("x").String("5").Int8(1).Int8(4).Int8(1)
                .Array(2).String("log.x").String("6").Int8(5).String("y").NullString().Int8(0)),
        GoldenCase.Of(3, 3, Answer(3),
            new Wire().Int32(8).Array(1).Int16(40).String("bad").Int8(2).String("a").Array(1)
                .String("x").String("5").Int8(1).Int8(4).Int8(1)
                .Array(2).String("log.x").String("6").Int8(5).String("y").NullString().Int8(0)
                .Int8(7).String("docs")),
        GoldenCase.Of(4, 4, Answer(4),
            new Wire().Int32(8).CompactArray(1).Int16(40).CompactString("bad").Int8(2).CompactString("a").CompactArray(1)
                .CompactString("x").CompactString("5").Int8(1).Int8(4).Int8(1)
                .CompactArray(2)
                .CompactString("log.x").CompactString("6").Int8(5).NoTags()
                .CompactString("y").CompactNull().Int8(0).NoTags()
                .Int8(7).CompactString("docs").NoTags()
                .NoTags().NoTags()),
    ];

    private static IEnumerable<GoldenCase> Alter =>
    [
        GoldenCase.Of(0, 1, Alteration(),
            new Wire().Array(1).Int8(2).String("a").Array(2).String("x").String("5").String("y").NullString().Int8(1)),
        GoldenCase.Of(2, 2, Alteration(),
            new Wire().CompactArray(1).Int8(2).CompactString("a").CompactArray(2)
                .CompactString("x").CompactString("5").NoTags()
                .CompactString("y").CompactNull().NoTags()
                .NoTags().Int8(1).NoTags()),
        GoldenCase.Of(0, 1, Altered(), new Wire().Int32(8).Array(1).Int16(40).String("bad").Int8(2).String("a")),
        GoldenCase.Of(2, 2, Altered(),
            new Wire().Int32(8).CompactArray(1).Int16(40).CompactString("bad").Int8(2).CompactString("a").NoTags().NoTags()),
    ];

    private static IEnumerable<GoldenCase> Incremental =>
    [
        GoldenCase.Of(0, 0, Change(),
            new Wire().Array(1).Int8(2).String("a").Array(2).String("x").Int8(2).String("5").String("y").Int8(1).NullString().Int8(1)),
        GoldenCase.Of(1, 1, Change(),
            new Wire().CompactArray(1).Int8(2).CompactString("a").CompactArray(2)
                .CompactString("x").Int8(2).CompactString("5").NoTags()
                .CompactString("y").Int8(1).CompactNull().NoTags()
                .NoTags().Int8(1).NoTags()),
        GoldenCase.Of(0, 0, Changed(), new Wire().Int32(8).Array(1).Int16(40).String("bad").Int8(2).String("a")),
        GoldenCase.Of(1, 1, Changed(),
            new Wire().Int32(8).CompactArray(1).Int16(40).CompactString("bad").Int8(2).CompactString("a").NoTags().NoTags()),
    ];

    private static DescribeConfigsRequest Question(short version) => new()
    {
        Resources =
        [
            new() { ResourceType = 2, ResourceName = "a", ConfigurationKeys = null },
            new() { ResourceType = 4, ResourceName = "1", ConfigurationKeys = ["num.partitions"] },
        ],
        IncludeSynonyms = true,
        IncludeDocumentation = version >= 3,
    };

    private static DescribeConfigsResponse Answer(short version) => new()
    {
        ThrottleTimeMs = 8,
        Results =
        [
            new()
            {
                ErrorCode = ErrorCode.InvalidConfig,
                ErrorMessage = "bad",
                ResourceType = 2,
                ResourceName = "a",
                Configs =
                [
                    new()
                    {
                        Name = "x",
                        Value = "5",
                        ReadOnly = true,
                        ConfigSource = 4,
                        IsSensitive = true,
                        Synonyms = [new() { Name = "log.x", Value = "6", Source = 5 }, new() { Name = "y" }],
                        ConfigType = (sbyte)(version >= 3 ? 7 : 0),
                        Documentation = version >= 3 ? "docs" : null,
                    },
                ],
            },
        ],
    };

    private static AlterConfigsRequest Alteration() => new()
    {
        Resources = [new() { ResourceType = 2, ResourceName = "a", Configs = [new() { Name = "x", Value = "5" }, new() { Name = "y" }] }],
        ValidateOnly = true,
    };

    private static AlterConfigsResponse Altered() => new()
    {
        ThrottleTimeMs = 8,
        Responses = [new() { ErrorCode = ErrorCode.InvalidConfig, ErrorMessage = "bad", ResourceType = 2, ResourceName = "a" }],
    };

    private static IncrementalAlterConfigsRequest Change() => new()
    {
        Resources =
        [
            new()
            {
                ResourceType = 2,
                ResourceName = "a",
                Configs = [new() { Name = "x", ConfigOperation = 2, Value = "5" }, new() { Name = "y", ConfigOperation = 1 }],
            },
        ],
        ValidateOnly = true,
    };

    private static IncrementalAlterConfigsResponse Changed() => new()
    {
        ThrottleTimeMs = 8,
        Responses = [new() { ErrorCode = ErrorCode.InvalidConfig, ErrorMessage = "bad", ResourceType = 2, ResourceName = "a" }],
    };
}
