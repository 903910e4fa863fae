using System.Collections.Immutable;
using Microsoft.Extensions.Logging;
using Tributary.Broker.Configs;
using Tributary.Broker.Metadata;
using Tributary.Cloud.Grains;

namespace Tributary.Cloud;

/// <summary>Configs of brokers that are changed.</summary>
internal sealed partial class GrainControlPlane
{
    /// <summary>1 if a change of configs of brokers failed, and may have happened all the same.</summary>
    private int _overridesUnsettled;

    /// <inheritdoc/>
    public Task<TopicOutcome> AlterBrokerConfigsAsync(BrokerConfigAlteration alteration, CancellationToken cancellation) =>
        AlterBrokerConfigsAsync(alteration).WaitAsync(cancellation);

    private async Task<TopicOutcome> AlterBrokerConfigsAsync(BrokerConfigAlteration alteration)
    {
        ImmutableArray<StoredConfigEdit> edits = [.. alteration.Edits.Select(StoredConfigEdit.From)];
        try
        {
            Refusal? refusal = await Cluster.AlterBrokerConfigsAsync(
                Snapshot.NodeId, alteration.OfNode, edits, alteration.ReplaceAll, alteration.ValidateOnly);
            if (refusal is not null)
            {
                return new TopicOutcome(refusal.Error, refusal.Message);
            }
            if (!alteration.ValidateOnly)
            {
                await RefreshOverridesAsync();
            }
            return TopicOutcome.Done;
        }
        catch
        {
            Volatile.Write(ref _overridesUnsettled, 1);
            throw;
        }
    }

    /// <summary>Applies what is stored now: of two changes, the one that is applied later is not the older one.</summary>
    private async Task RefreshOverridesAsync()
    {
        await _changing.WaitAsync();
        try
        {
            ClusterSnapshot before = Snapshot;
            BrokerOverrides overrides = (await Cluster.GetBrokerConfigsAsync(before.NodeId)).ToOverrides();
            ClusterSnapshot next = before with { Overrides = overrides };
            await ApplyAsync(next);
            Volatile.Write(ref _snapshot, next);
            logger.BrokerConfigsChanged(overrides.OfNode.Count, overrides.OfAll.Count);
        }
        finally
        {
            _changing.Release();
        }
    }

    private async Task SettleOverridesAsync()
    {
        if (Interlocked.Exchange(ref _overridesUnsettled, 0) == 0)
        {
            return;
        }
        try
        {
            await RefreshOverridesAsync();
        }
        catch (Exception e)
        {
            Volatile.Write(ref _overridesUnsettled, 1);
            logger.BrokerConfigsUnsettled(e);
        }
    }
}
