// Whether oneDNN is used where this build has it.
#pragma once

namespace tensor {

// oneDNN is built in, and the environment does not say IMGCAP_WITHOUT_ONEDNN=1, which makes the program compute
// as a build without oneDNN does. Asked once, when the program is loaded.
bool uses_onednn();

}  // namespace tensor
