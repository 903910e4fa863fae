using Tributary.Edge.Host;
using Tributary.Log.Storage;
using Xunit;

namespace Tributary.Tests.Edge.Host;

public sealed class AgentIdentityTests
{
    private readonly MemoryStorage _storage = new();

    public AgentIdentityTests()
    {
        _storage.CreateDirectory("data");
        _storage.SyncDirectory("");
    }

    [Fact]
    public void The_first_start_makes_the_directory_its_own_even_across_a_power_cut()
    {
        AgentIdentity.Claim(_storage, "data", "edge-1");
        MemoryStorage later = _storage.Crash();

        AgentIdentity.Claim(later, "data", "edge-1");
        string message = Assert.Throws<IOException>(() => AgentIdentity.Claim(later, "data", "edge-2")).Message;
        Assert.Contains("belongs to the agent 'edge-1', not to 'edge-2'", message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("")]
    [InlineData("edge-1")]
    [InlineData("\n")]
    [InlineData("edge-1\nedge-2\n")]
    public void A_damaged_file_is_no_claim(string content)
    {
        using (IStorageFile file = _storage.Open($"data/{AgentIdentity.FileName}", create: true))
        {
            file.Write(0, System.Text.Encoding.UTF8.GetBytes(content));
        }

        Assert.Contains(
            "damaged", Assert.Throws<IOException>(() => AgentIdentity.Claim(_storage, "data", "edge-1")).Message, StringComparison.Ordinal);
    }
}
