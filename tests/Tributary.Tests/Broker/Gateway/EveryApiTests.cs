using System.Reflection;
using Tributary.Broker;
using Tributary.Contracts.Kafka;
using Tributary.Contracts.Kafka.Messages;
using Tributary.Tests.Broker.Support;
using Xunit;

namespace Tributary.Tests.Broker.Gateway;

/// <summary>What holds for every version of every API: headers, and where the versions end.</summary>
public sealed class EveryApiTests
{
    private static readonly Type[] Requests =
    [
        .. typeof(ProduceRequest).Assembly.GetTypes().Where(type => RequestInterface(type) is not null && !IsNotServed(type)).OrderBy(type => type.Name),
    ];

    public static TheoryData<string, short> Versions
    {
        get
        {
            var data = new TheoryData<string, short>();
            foreach (Type request in Requests)
            {
                for (short version = ApiOf(request).MinVersion; version <= ApiOf(request).MaxVersion; version++)
                {
                    data.Add(request.Name, version);
                }
            }
            return data;
        }
    }

    /// <summary>The versions beside those that are served, but of ApiVersions, which is answered in any.</summary>
    public static TheoryData<short, short> Beyond
    {
        get
        {
            var data = new TheoryData<short, short>();
            foreach (KafkaApi api in Requests.Select(ApiOf).Where(api => api.Key != ApiVersionsRequest.ApiKey))
            {
                data.Add(api.Key, (short)(api.MaxVersion + 1));
                data.Add(api.Key, (short)(api.MinVersion - 1));
            }
            return data;
        }
    }

    [Theory]
    [MemberData(nameof(Versions))]
    public async Task An_answer_has_the_header_and_the_form_of_its_version_and_the_client_goes_on(string request, short version)
    {
        await using var broker = new TestBroker();
        await using TestClient client = broker.Connect();
        for (int i = 0; i < 2; i++)
        {
            object response = await AskAsync(client, request, version);
            Assert.Equal(0, response.GetType().GetProperty("ThrottleTimeMs")?.GetValue(response) ?? 0); // no quota is in force
        }
    }

    [Theory]
    [MemberData(nameof(Beyond))]
    public async Task A_version_that_is_not_served_closes_the_connection_with_a_counted_reason(short key, short version)
    {
        await using var broker = new TestBroker();
        await using TestClient client = broker.Connect();
        await client.SendFrameAsync([(byte)(key >> 8), (byte)key, (byte)(version >> 8), (byte)version, 0, 0, 0, 7, 0xFF, 0xFF, 0]);
        Assert.Null(await client.ReceiveFrameAsync());
        await client.Ended;
        Assert.Equal(1, broker.Server.Metrics.Closed(CloseReason.Unsupported));
    }

    /// <summary>Sends an empty request and reads the answer, which must be of the version down to its last byte.</summary>
    private static async Task<object> AskAsync(TestClient client, string name, short version)
    {
        Type type = Requests.Single(request => request.Name == name);
        object request = Activator.CreateInstance(type)!;
        if (request is ProduceRequest produce)
        {
            produce.Acks = Ask.AcksAll; // without acks there is no answer
        }
        MethodInfo ask = typeof(TestClient).GetMethod(nameof(TestClient.AskAsync))!.MakeGenericMethod(RequestInterface(type)!.GetGenericArguments());
        var asking = (Task)ask.Invoke(client, [request, version])!;
        await asking;
        return asking.GetType().GetProperty(nameof(Task<object>.Result))!.GetValue(asking)!;
    }

    /// <summary>What the edge says to other clusters.</summary>
    private static bool IsNotServed(Type type) => type == typeof(SaslHandshakeRequest) || type == typeof(SaslAuthenticateRequest);

    private static Type? RequestInterface(Type type) => type.IsAbstract ? null : Array.Find(
        type.GetInterfaces(), one => one.IsGenericType && one.GetGenericTypeDefinition() == typeof(IKafkaRequest<,>));

    private static KafkaApi ApiOf(Type request) =>
        (KafkaApi)request.GetProperty(nameof(ProduceRequest.Api), BindingFlags.Public | BindingFlags.Static)!.GetValue(null)!;
}
