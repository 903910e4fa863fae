using System.Reflection;
using Tributary.Contracts.Kafka;
using Tributary.Contracts.Kafka.Messages;
using Tributary.Tests.Kafka.Golden;
using Xunit;

namespace Tributary.Tests.Kafka;

/// <summary>Messages against bytes that were put together by hand from Kafka's public definitions.</summary>
public sealed class MessageGoldenTests
{
    [Fact]
    public void Messages_are_written_as_the_definitions_say()
    {
        foreach ((GoldenCase golden, short version) in GoldenCases.EachVersion)
        {
            string heading = $"{golden} in version {version}\n";
            Assert.Equal(heading + Convert.ToHexString(golden.Bytes), heading + Convert.ToHexString(golden.Write(version)));
        }
    }

    [Fact]
    public void Messages_are_read_as_the_definitions_say()
    {
        foreach ((GoldenCase golden, short version) in GoldenCases.EachVersion)
        {
            Assert.Equal($"{golden} {version}\n{golden.Values}", $"{golden} {version}\n{golden.Read(golden.Bytes, version)}");
        }
    }

    [Fact]
    public void Every_version_of_every_message_is_compared()
    {
        Type[] messages = [.. new[] { typeof(IKafkaMessage<>), GetType() }.SelectMany(type => type.Assembly.GetTypes()).Where(IsMessage)];
        Assert.Contains(typeof(ProduceRequest), messages);
        foreach (Type message in messages)
        {
            var api = (KafkaApi)message.GetProperty("Api", BindingFlags.Public | BindingFlags.Static)!.GetValue(null)!;
            var missing = new HashSet<int>(Enumerable.Range(api.MinVersion, api.MaxVersion - api.MinVersion + 1));
            missing.ExceptWith(GoldenCases.EachVersion.Where(pair => pair.Case.Message == message).Select(pair => (int)pair.Version));
            Assert.True(missing.Count == 0, $"{message.Name}: no bytes for versions {string.Join(", ", missing)}");
        }
    }

    [Fact]
    public void Every_field_is_compared_with_a_value_that_is_not_its_default()
    {
        foreach (IGrouping<Type, GoldenCase> cases in GoldenCases.All.GroupBy(golden => golden.Message))
        {
            string[] changed = [.. cases.SelectMany(golden => FieldValues.Changed(golden.Content)).Distinct()];
            string[] missing = [.. Fields(cases.Key).Except(changed)];
            Assert.True(missing.Length == 0, $"{cases.Key.Name}: always the default: {string.Join(", ", missing)}");
        }
    }

    private static bool IsMessage(Type type) =>
        type.IsClass && type.GetInterfaces().Any(i => i.IsGenericType && i.GetGenericTypeDefinition() == typeof(IKafkaMessage<>));

    private static IEnumerable<string> Fields(Type type) =>
        type.GetProperties(BindingFlags.Public | BindingFlags.Instance).Select(property => $"{type.Name}.{property.Name}")
            .Concat(type.GetNestedTypes().SelectMany(Fields));
}
