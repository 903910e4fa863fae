using MQTTnet;
using MQTTnet.Protocol;
using PuppeteerSharp;
using Tributary.Conformance.Harness;
using Xunit;

namespace Tributary.Conformance;

/// <summary>The agent's page in a browser as wide as a phone. The agent is the shipped build, without a cloud.</summary>
public sealed class StatusPageTests : IAsyncLifetime
{
    /// <summary>Longest word that fits in no line.</summary>
    private static readonly string LongWord = new('w', 150);

    private readonly TempDirectory _directory = TempDirectory.Create();
    private IBrowser _browser = null!;
    private EdgeNode _edge = null!;

    public async ValueTask InitializeAsync()
    {
        await File.WriteAllTextAsync(_directory.At("users.json"), """{ "users": {}, "anonymous": { "publish": ["devices/#"], "subscribe": ["#"] } }""");
        Task<IBrowser> browser = Chromium.StartAsync();
        _edge = await EdgeNode.StartAsync(
            _directory.At("data"), "127.0.0.1:1", new Dictionary<string, string> { ["TRIBUTARY__MQTT__USERSFILE"] = _directory.At("users.json") });
        _browser = await browser;
    }

    public async ValueTask DisposeAsync()
    {
        await _browser.DisposeAsync();
        await _edge.DisposeAsync();
        _directory.Dispose();
    }

    [Theory]
    [InlineData(320)]
    [InlineData(412)]
    public async Task It_fits_a_phone_whatever_the_words_and_follows_the_agent_without_loading_anything_from_elsewhere(int width)
    {
        IPage page = await OpenAsync(width);
        var asked = new List<string>();
        page.Request += (_, request) => asked.Add(request.Request.Url);
        var complaints = Complaints(page);
        await LoadAsync(page);
        await page.EvaluateExpressionAsync("window.loadedOnce = true");

        await PublishAsync("phone", "devices/d1/temperature", 7);
        await DenyAsync(LongWord, "elsewhere/" + LongWord);
        await Until.TrueAsync(async () => (await TextAsync(page)) is var text && text.Contains("7 messages taken") && text.Contains(LongWord), _edge.Process.Story);

        Assert.True(await page.EvaluateExpressionAsync<bool>("window.loadedOnce === true"), "the page was loaded anew");
        Assert.Equal(width, await page.EvaluateExpressionAsync<int>("innerWidth"));
        Assert.Equal(
            "", await page.EvaluateExpressionAsync<string>(
                "[...document.querySelectorAll('body *')].filter(e => e.getBoundingClientRect().right > innerWidth + 0.5).map(e => e.outerHTML.slice(0, 80)).join()"));
        Assert.True(await page.EvaluateExpressionAsync<int>("document.documentElement.scrollWidth") <= width, "the page scrolls sideways");
        Assert.Contains("7 records waiting", await TextAsync(page), StringComparison.Ordinal);
        Assert.All(asked, url => Assert.StartsWith($"http://{_edge.At("http")}/", url, StringComparison.Ordinal));
        Assert.Empty(complaints);
    }

    [Fact]
    public async Task What_devices_call_themselves_is_shown_and_does_nothing()
    {
        const string Script = "<script>window.injected=1</script><img src=x onerror=window.injected=2>";
        IPage page = await OpenAsync(412);
        var complaints = Complaints(page);
        await DenyAsync(Script, "elsewhere/" + Script);
        await LoadAsync(page); // as the agent makes it
        Assert.Contains(Script, await TextAsync(page), StringComparison.Ordinal);
        await DenyAsync("second" + Script, "elsewhere/second" + Script);
        // As the page changes itself.
        await Until.TrueAsync(async () => (await TextAsync(page)).Contains("second" + Script), _edge.Process.Story);

        Assert.True(await page.EvaluateExpressionAsync<bool>("window.injected === undefined"));
        Assert.Equal(0, await page.EvaluateExpressionAsync<int>("document.querySelectorAll('main script, main img').length"));
        Assert.Empty(complaints);
    }

    [Fact]
    public async Task Its_policy_lets_no_script_run_that_is_not_its_own()
    {
        IPage page = await OpenAsync(412);
        await LoadAsync(page);
        await page.EvaluateFunctionAsync(
            "() => { const s = document.createElement('script'); s.textContent = 'window.injected = 1'; document.body.append(s); }");
        await page.EvaluateFunctionAsync("() => { const d = document.createElement('div'); d.innerHTML = '<img src=x onerror=\"window.injected=2\">'; document.body.append(d); }");
        await page.WaitForFunctionAsync("() => document.querySelector('img').complete");

        Assert.True(await page.EvaluateExpressionAsync<bool>("window.injected === undefined"));
    }

    [Fact]
    public async Task Without_scripts_it_can_be_read()
    {
        await PublishAsync("plain", "devices/d1/temperature", 3);
        IPage page = await OpenAsync(412);
        await page.SetJavaScriptEnabledAsync(false);
        await LoadAsync(page);
        await page.SetJavaScriptEnabledAsync(true); // for the question only: what it has loaded stays
        string text = await TextAsync(page);

        Assert.Contains("takes messages", text, StringComparison.Ordinal);
        Assert.Contains("3 messages taken", text, StringComparison.Ordinal);
        Assert.Contains("not connected", text, StringComparison.Ordinal);
        Assert.Equal("10", await page.EvaluateExpressionAsync<string>("document.querySelector('noscript meta').content"));
    }

    [Fact]
    public async Task It_says_so_when_the_agent_is_gone()
    {
        IPage page = await OpenAsync(412);
        await LoadAsync(page);
        Assert.True(await page.EvaluateExpressionAsync<bool>("document.getElementById('silent').hidden"));
        await _edge.Process.KillAsync();

        await page.WaitForFunctionAsync("() => !document.getElementById('silent').hidden", new WaitForFunctionOptions { Timeout = 60_000 });
        Assert.Contains("does not answer since", await page.EvaluateExpressionAsync<string>("document.getElementById('silent').textContent"), StringComparison.Ordinal);
    }

    private static Task<string> TextAsync(IPage page) => page.EvaluateExpressionAsync<string>("document.body.textContent");

    private static List<string> Complaints(IPage page)
    {
        var complaints = new List<string>();
        page.Console += (_, message) => complaints.Add(message.Message.Text);
        page.PageError += (_, error) => complaints.Add(error.Message);
        page.Dialog += (_, dialog) => complaints.Add(dialog.Dialog.Message);
        return complaints;
    }

    private async Task<IPage> OpenAsync(int width)
    {
        IPage page = await _browser.NewPageAsync();
        await page.SetViewportAsync(new ViewPortOptions { Width = width, Height = 800, IsMobile = true, HasTouch = true, DeviceScaleFactor = 2 });
        return page;
    }

    private async Task LoadAsync(IPage page)
    {
        IResponse response = await page.GoToAsync($"http://{_edge.At("http")}/");
        Assert.Equal(System.Net.HttpStatusCode.OK, response.Status);
    }

    private async Task<IMqttClient> ConnectAsync(string clientId)
    {
        IMqttClient client = new MqttClientFactory().CreateMqttClient();
        await client.ConnectAsync(
            new MqttClientOptionsBuilder().WithTcpServer(_edge.Mqtt.Address.ToString(), _edge.Mqtt.Port).WithClientId(clientId).Build());
        return client;
    }

    private async Task PublishAsync(string clientId, string topic, int count)
    {
        using IMqttClient client = await ConnectAsync(clientId);
        for (int i = 0; i < count; i++)
        {
            await client.PublishStringAsync(topic, "1", MqttQualityOfServiceLevel.AtLeastOnce);
        }
    }

    /// <summary>Publishes what is not allowed: the agent tells of it with the names of client and topic.</summary>
    private async Task DenyAsync(string clientId, string topic)
    {
        using IMqttClient client = await ConnectAsync(clientId);
        await client.PublishStringAsync(topic, "1");
        await client.PingAsync();
    }
}
