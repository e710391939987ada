// A communicator of one's own: two processes at the ends of a socket. What they learn is what two threads do, to the bit.
#include <terse/terse.hpp>

#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>

using namespace terse;

class SocketPair final : public dist::Communicator {
 public:
  SocketPair(int socket, int rank) : socket_(socket), rank_(rank) {}
  int rank() const override { return rank_; }
  int size() const override { return 2; }
  void reduce_scatter(std::span<float> values) override { reduce(values); }
  void reduce_scatter(std::span<double> values) override { reduce(values); }
  void gather_slices(std::span<std::byte> values, std::size_t value_bytes) override {
    const auto part = [&](Slice of) { return values.subspan(of.first * value_bytes, of.size() * value_bytes); };
    swap(part(slice(values.size() / value_bytes, rank_)), part(slice(values.size() / value_bytes, 1 - rank_)));
  }
  void broadcast(std::span<std::byte> bytes, int root) override { rank_ == root ? swap(bytes, {}) : swap({}, bytes); }
  void barrier() override { all_gather(""); }

 private:
  // Sends one and receives the other, turn by turn, so that neither end waits for the other to read.
  void swap(std::span<std::byte> mine, std::span<std::byte> theirs) const {
    while (!mine.empty() || !theirs.empty()) {
      const auto sent = mine.empty() ? 0 : ::send(socket_, mine.data(), std::min<std::size_t>(mine.size(), 1 << 15), MSG_NOSIGNAL);
      const auto received = theirs.empty() ? 0 : ::recv(socket_, theirs.data(), std::min<std::size_t>(theirs.size(), 1 << 15), 0);
      if (sent < 0 || received < 0 || (received == 0 && !theirs.empty())) fail(Failure::rank, "rank ", 1 - rank_, " failed");
      mine = mine.subspan(static_cast<std::size_t>(sent)), theirs = theirs.subspan(static_cast<std::size_t>(received));
    }
  }
  template <class T>
  void reduce(std::span<T> values) const {
    const Slice own = slice(values.size(), rank_), other = slice(values.size(), 1 - rank_);
    std::vector<T> theirs(own.size());
    swap(std::as_writable_bytes(values.subspan(other.first, other.size())), std::as_writable_bytes(std::span(theirs)));
    for (std::size_t i = 0; i < theirs.size(); ++i) values[own.first + i] += theirs[i];
  }
  int socket_, rank_;
};

struct Small : models::Config<models::GptConfig{.vocabulary = 64, .context = 32, .layers = 2, .heads = 2, .width = 32}> {};
double train_on(dist::Communicator& rank) {
  std::vector<TokenId> ids;
  for (TokenId i = 0; i < 2000; ++i) ids.push_back(i * i % 61);
  const auto samples = text::windows(ids, 24);
  const auto halves = text::split(samples.size(), 0, 42);
  Cpu cpu(1);
  models::Gpt<Small, Fp32, Cpu> model(cpu);
  nn::initialize(model, 42);
  train::Trainer trainer(model, rank, {samples, halves.training, samples, halves.validation}, {.schedule = {.batch = 4, .accumulate = 1, .ranks = 2, .steps = 30}, .rates = {.decay = 30}});
  double loss = 0;
  trainer.run([&](const train::StepRecord& step) { loss = step.loss; });
  return loss;
}

int main() {
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0) return 1;
  const pid_t child = ::fork();
  SocketPair own(ends[child == 0], child == 0 ? 1 : 0);
  const double loss = train_on(own);
  if (child == 0) ::_exit(0);
  ::waitpid(child, nullptr, 0);
  double with_threads = 0, loss_of_the_other = 0;
  dist::launch(2, [&](dist::Communicator& rank) { (rank.is_first() ? with_threads : loss_of_the_other) = train_on(rank); });
  std::printf("loss %.4f through the socket, %s with threads\n", loss, loss == with_threads ? "the same bits" : "other bits");
}
