using System.Collections;
using Tributary.Edge.Host;
using Tributary.Edge.Source;
using Tributary.Log.Storage;
using Xunit;

namespace Tributary.Tests.Edge.Source;

public sealed class SourceSettingsTests : IDisposable
{
    private readonly string _directory = Directory.CreateTempSubdirectory("tributary-source-").FullName;

    public void Dispose() => Directory.Delete(_directory, recursive: true);

    [Fact]
    public void Without_a_broker_there_is_no_source()
    {
        Assert.Null(SourceSettings.From(Values(), "edge-1"));
        string message = Assert.Throws<ArgumentException>(() => SourceSettings.From(Values(("source:tls", "true")), "edge-1")).Message;
        Assert.Contains("'source:broker' is missing", message, StringComparison.Ordinal);
    }

    [Fact]
    public void With_a_source_the_agent_listens_only_where_it_is_told_to()
    {
        (string, string)[] others = [("id", "e"), ("data", "d"), ("cloud", "c:1"), ("source:broker", "plant:1883")];
        Assert.Null(EdgeOptions.From(Values(others)).Listeners.Mqtt);
        Assert.Equal(1884, EdgeOptions.From(Values([.. others, ("mqtt", "127.0.0.1:1884")])).Listeners.Mqtt!.Port);
    }

    [Fact]
    public void Filters_come_from_a_list_in_the_file_or_from_text_with_commas()
    {
        string file = Path.Combine(_directory, "edge.json");
        File.WriteAllText(file, """{ "source": { "broker": "plant:1883", "filters": [ "a/#", "b, c/+" ] } }""");
        var values = new SettingValues();
        values.AddFile(file);
        SourceOptions fromFile = SourceSettings.From(values, "edge-1")!;
        Assert.Equal(["a/#", "b, c/+"], fromFile.Filters);
        Assert.Equal(("plant", 1883, "tributary-edge-1"), (fromFile.Host, fromFile.Port, fromFile.ClientId));
        Assert.Equal(["a/#", "b/+"], SourceSettings.From(Values(("source:broker", "plant:1883"), ("source:filters", "a/#, b/+")), "e")!.Filters);
    }

    [Fact]
    public void A_list_where_one_value_is_wanted_is_an_error_that_names_the_setting()
    {
        string file = Path.Combine(_directory, "edge.json");
        File.WriteAllText(file, """{ "source": { "broker": [ "plant:1883" ] } }""");
        var values = new SettingValues();
        values.AddFile(file);
        Assert.Contains("'source:broker'", Assert.Throws<ArgumentException>(() => SourceSettings.From(values, "e")).Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("source:filters", "a#", "a#")]
    [InlineData("source:filters", "$share/g/a", "source:sharedGroup")]
    [InlineData("source:sharedGroup", "a/b", "source:sharedGroup")]
    [InlineData("source:passwordFile", "x", "source:user")]
    [InlineData("source:caFile", "x", "source:tls")]
    [InlineData("source:certificateFile", "x", "source:tls")]
    [InlineData("source:maxInFlight", "0", "source:maxInFlight")]
    [InlineData("source:protocol", "v4", "source:protocol")]
    public void What_can_not_be_is_an_error_that_names_the_setting(string name, string text, string named)
    {
        SettingValues values = Values(("source:broker", "plant:1883"), (name, text));
        Assert.Contains(named, Assert.Throws<ArgumentException>(() => SourceSettings.From(values, "e")).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Subscriptions_are_remembered_and_a_damaged_file_counts_as_none()
    {
        var storage = new FileStorage();
        Assert.Null(SourceSubscriptions.Load(storage, _directory));
        new SourceSubscriptions("plant:1883", "agent", ["a/#", "b"]).Save(storage, _directory);
        SourceSubscriptions? read = SourceSubscriptions.Load(storage, _directory);
        Assert.Equal(("plant:1883", "agent"), (read!.Broker, read.ClientId));
        Assert.Equal(["a/#", "b"], read.Filters);
        File.WriteAllText(Path.Combine(_directory, SourceSubscriptions.FileName), "{ \"Broker\": ");
        Assert.Null(SourceSubscriptions.Load(storage, _directory));
    }

    private static SettingValues Values(params (string Name, string Text)[] settings)
    {
        var environment = new Hashtable();
        foreach ((string name, string text) in settings)
        {
            environment[SettingValues.EnvironmentPrefix + name.Replace(":", "__", StringComparison.Ordinal)] = text;
        }
        var values = new SettingValues();
        values.AddEnvironment(environment);
        return values;
    }
}
