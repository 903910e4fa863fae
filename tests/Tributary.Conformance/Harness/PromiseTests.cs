using Xunit;

namespace Tributary.Conformance.Harness;

/// <summary>The check of the promise finds what breaks it.</summary>
public sealed class PromiseTests
{
    private static readonly Published Device = new("d", 5, new HashSet<int> { 1, 2, 4 });

    [Theory]
    [InlineData("1 2 4")]
    [InlineData("1 2 3 4 5")]
    public void What_was_acknowledged_once_and_the_rest_at_most_once_is_right(string numbers) => Assert.Null(Check(numbers));

    [Theory]
    [InlineData("1 4", "acknowledged and not there, among them 2")]
    [InlineData("1 2 2 4", "there more than once, among them 2")]
    [InlineData("1 2 3 3 4", "there more than once, among them 3")]
    [InlineData("1 4 2", "after a greater one, among them 2")]
    [InlineData("1 2 4 6", "never sent, among them 6")]
    public void A_loss_a_repetition_a_disorder_and_an_invention_are_found(string numbers, string fault) =>
        Assert.Contains(fault, Check(numbers));

    [Fact]
    public void A_record_of_nobody_is_found() => Assert.Contains("'x'", Promise.FindFault([], [("x", 1)]));

    private static string? Check(string numbers) =>
        Promise.FindFault([Device], numbers.Split(' ').Select(number => ((string?)"d", int.Parse(number))));
}
