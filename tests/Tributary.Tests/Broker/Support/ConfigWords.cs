using Tributary.Broker.Configs;
using Tributary.Contracts.Kafka.Messages;
using Xunit;
using ErrorCode = Tributary.Contracts.Kafka.ErrorCode;

namespace Tributary.Tests.Broker.Support;

/// <summary>What administrators say about configs.</summary>
internal static class ConfigWords
{
    public const sbyte OfTopic = 2;
    public const sbyte OfBroker = 4;

    public static DescribeConfigsRequest Describe(sbyte type, string name, params string[] keys) =>
        new() { Resources = [new() { ResourceType = type, ResourceName = name, ConfigurationKeys = keys.Length == 0 ? null : keys }] };

    public static AlterConfigsRequest Alter(sbyte type, string name, params (string Name, string? Value)[] configs) => new()
    {
        Resources =
        [
            new()
            {
                ResourceType = type,
                ResourceName = name,
                Configs = [.. configs.Select(config => new AlterConfigsRequest.AlterableConfig { Name = config.Name, Value = config.Value })],
            },
        ],
    };

    public static async Task<(ErrorCode, string?)> AlterAsync(
        TestClient client, short version, sbyte type, string name, params (string Name, string? Value)[] configs)
    {
        AlterConfigsResponse.AlterConfigsResourceResponse result = (await client.AskAsync(Alter(type, name, configs), version)).Responses.Single();
        Assert.Equal((type, name), (result.ResourceType, result.ResourceName));
        return (result.ErrorCode, result.ErrorMessage);
    }

    public static async Task<(ErrorCode, string?)> ChangeAsync(
        TestClient client, short version, sbyte type, string name, params (string Name, ConfigOperation Operation, string? Value)[] configs)
    {
        IncrementalAlterConfigsResponse response = await client.AskAsync(
            new IncrementalAlterConfigsRequest
            {
                Resources =
                [
                    new()
                    {
                        ResourceType = type,
                        ResourceName = name,
                        Configs =
                        [
                            .. configs.Select(config => new IncrementalAlterConfigsRequest.AlterableConfig
                            {
                                Name = config.Name,
                                ConfigOperation = (sbyte)config.Operation,
                                Value = config.Value,
                            }),
                        ],
                    },
                ],
            },
            version);
        Assert.Equal((type, name), (response.Responses.Single().ResourceType, response.Responses.Single().ResourceName));
        return (response.Responses.Single().ErrorCode, response.Responses.Single().ErrorMessage);
    }
}
