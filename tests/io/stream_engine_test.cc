#include "io/real_world.h"
#include "io/secure_world.h"
#include "io/stream_drawn.h"

namespace rondo::io::testing {
namespace {

const WorldMaker kStreamWorlds[] = {
    {"io_uring", &MakeStreams<&RealWorld::MakeOf<EngineKind::kIoUring>, false>},
    {"epoll", &MakeStreams<&RealWorld::MakeOf<EngineKind::kEpoll>, false>},
};
INSTANTIATE_TEST_SUITE_P(Real, StreamSuite, ::testing::ValuesIn(kStreamWorlds), NameOf);
INSTANTIATE_TEST_SUITE_P(Real, DrawnStreams, ::testing::ValuesIn(kStreamWorlds), NameOf);

}  // namespace
}  // namespace rondo::io::testing
