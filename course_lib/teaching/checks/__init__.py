"""Checks for exercises. They name the property that fails and never give the answer away.

    checks.check_gram_matrix(my_gram_matrix)

Each check calls your function on small inputs. It raises `CheckFailed` with what the function returned, what was
expected, and where to look. `holds` is for the book's own statements.
"""

from course_lib.teaching.checks.base import CheckFailed
from course_lib.teaching.checks.colors import check_color_match
from course_lib.teaching.checks.control import check_guided_gram, check_guided_style
from course_lib.teaching.checks.domains import check_domain_losses, check_gradient_penalty, check_round_trip
from course_lib.teaching.checks.experiments import (
    check_figure,
    check_measurements,
    check_predictions,
    check_trend,
)
from course_lib.teaching.checks.fields import check_field_by_gradient, check_receptive_field
from course_lib.teaching.checks.film import check_stabilized, check_temporal_error
from course_lib.teaching.checks.labels import check_label_planes, check_plane_border, check_sees_label
from course_lib.teaching.checks.layer_styles import check_spike_prediction, check_style_mixing, check_truncation
from course_lib.teaching.checks.losses import (
    check_content_loss,
    check_gram_matrix,
    check_relative_distance,
    check_style_loss,
    check_total_variation,
)
from course_lib.teaching.checks.modulation import check_own_convolution, check_styled_convolution, check_styled_weights
from course_lib.teaching.checks.motion import check_visible_mask, check_warp
from course_lib.teaching.checks.networks import (
    check_patchgan,
    check_residual_block,
    check_transformer_net,
    check_upsampling,
)
from course_lib.teaching.checks.optimization import check_optimization
from course_lib.teaching.checks.passes import check_normalized_once, check_only_the_picture_learns
from course_lib.teaching.checks.pools import check_image_pool
from course_lib.teaching.checks.regions import check_region_loss
from course_lib.teaching.checks.statements import holds
from course_lib.teaching.checks.statistics import (
    check_adain,
    check_channel_statistics,
    check_closest_style,
    check_shuffle,
)
from course_lib.teaching.checks.stylization import check_strength
from course_lib.teaching.checks.transforms import check_adain_for_any_style, check_style_mixture
from course_lib.teaching.checks.unpaired import check_cycle_loss, check_generators_loss, check_identity_loss

__all__ = [
    "CheckFailed",
    "check_adain",
    "check_adain_for_any_style",
    "check_channel_statistics",
    "check_closest_style",
    "check_color_match",
    "check_content_loss",
    "check_cycle_loss",
    "check_domain_losses",
    "check_field_by_gradient",
    "check_figure",
    "check_generators_loss",
    "check_gradient_penalty",
    "check_gram_matrix",
    "check_guided_gram",
    "check_guided_style",
    "check_identity_loss",
    "check_image_pool",
    "check_label_planes",
    "check_measurements",
    "check_normalized_once",
    "check_only_the_picture_learns",
    "check_optimization",
    "check_own_convolution",
    "check_patchgan",
    "check_plane_border",
    "check_predictions",
    "check_receptive_field",
    "check_region_loss",
    "check_relative_distance",
    "check_residual_block",
    "check_round_trip",
    "check_sees_label",
    "check_shuffle",
    "check_spike_prediction",
    "check_stabilized",
    "check_strength",
    "check_style_loss",
    "check_style_mixing",
    "check_style_mixture",
    "check_styled_convolution",
    "check_styled_weights",
    "check_temporal_error",
    "check_total_variation",
    "check_transformer_net",
    "check_trend",
    "check_truncation",
    "check_upsampling",
    "check_visible_mask",
    "check_warp",
    "holds",
]
